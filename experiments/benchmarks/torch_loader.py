"""soundfile in a torch DataLoader: what one would write without `pad_keras.data.pipeline`."""

import soundfile
import torch


class AudioFiles(torch.utils.data.Dataset):
    """Waveforms of audio files, as one writes it in torch.

    Args:
        paths: list of str.
    """

    def __init__(self, paths):
        self.paths = paths

    def __len__(self):
        """Number of files."""
        return len(self.paths)

    def __getitem__(self, index):
        """Waveform `[samples]` float32 of a file."""
        return torch.from_numpy(soundfile.read(self.paths[index], dtype="float32")[0])


def collate(waveforms):
    """Pad waveforms to the longest.

    Args:
        waveforms: list of `[samples]` tensors.

    Returns:
        Dict of `waveform` and `padding_mask`, `[batch, samples]`.
    """
    lengths = torch.tensor([len(waveform) for waveform in waveforms])
    padded = torch.nn.utils.rnn.pad_sequence(waveforms, batch_first=True)
    return {"waveform": padded, "padding_mask": torch.arange(padded.shape[1]) < lengths[:, None]}


def loader(paths, batch_size, workers=0, shuffle=True):
    """Batches of audio files.

    Args:
        paths: list of str, of audio files.
        batch_size: int.
        workers: int, processes that live on between epochs; 0 reads in this one.
        shuffle: bool.

    Returns:
        `torch.utils.data.DataLoader` of dicts, as `collate` gives them.
    """
    return torch.utils.data.DataLoader(
        AudioFiles(paths),
        batch_size,
        shuffle=shuffle,
        num_workers=workers,
        persistent_workers=workers > 0,
        collate_fn=collate,
    )
