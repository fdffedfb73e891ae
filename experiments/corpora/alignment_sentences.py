"""Rules of the alignment corpus: general everyday English in twelve domains."""

# fmt: off
_SHARED = {
    "person": [
        "my neighbour", "the old man", "the young woman", "her uncle", "his aunt", "my cousin",
        "our guest", "the stranger", "my best friend", "the tall boy", "a little girl",
        "my grandfather", "her sister", "his brother", "the new student", "their daughter",
    ],
    "day": [
        "monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday",
    ],
    "when": [
        "yesterday", "last night", "this morning", "on {day}", "an hour ago", "last week",
        "before breakfast", "after lunch", "in the evening", "at midnight",
    ],
    "soon": [
        "tomorrow", "next week", "tonight", "later", "next {day}", "this afternoon", "very soon",
    ],
    "number": [
        "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "twelve",
    ],
    "month": [
        "january", "february", "march", "april", "june", "july", "august", "september",
        "october", "november", "december",
    ],
}

_WEATHER = {
    "weather": [
        "the {sky} turned {sky_colour} before the {storm}",
        "{storm_cap} closed the {road} near the {terrain}",
        "it will be {weather_adj} and {weather_adj_two} in the {region} {soon}",
        "a {wind_adj} wind blew from the {compass} {when}",
        "we saw {sky_thing} above the {terrain}",
        "the temperature dropped by {number} degrees {when}",
        "thick fog covered the {terrain} until noon",
        "there was more {falling} in {month} than in {month}",
    ],
    "sky": ["sky", "horizon", "sea", "bay"],
    "sky_colour": ["grey", "purple", "dark", "yellow", "pale", "green"],
    "storm": ["storm", "rain", "thunder", "snow", "hurricane", "flood", "blizzard"],
    "storm_cap": ["heavy snow", "a sudden flood", "the storm", "black ice", "a fallen tree"],
    "road": ["road", "bridge", "highway", "railway", "tunnel", "path"],
    "terrain": ["valley", "mountains", "coast", "river", "harbour", "hills", "desert", "lake"],
    "weather_adj": ["cold", "warm", "cloudy", "dry", "humid", "mild", "windy"],
    "weather_adj_two": ["sunny", "wet", "bright", "misty", "stormy", "freezing"],
    "region": ["north", "south", "capital", "mountains", "islands", "countryside"],
    "wind_adj": ["strong", "gentle", "bitter", "icy", "steady", "salty"],
    "compass": ["north", "south", "east", "west", "ocean"],
    "sky_thing": ["a rainbow", "dark clouds", "lightning", "the full moon", "a shooting star"],
    "falling": ["rain", "snow", "hail", "sunshine", "frost"],
}

_FOOD = {
    "food": [
        "{person} baked {baked} with {ingredient} and {ingredient_two}",
        "please add some {ingredient_two} to the {dish}",
        "the {dish} tastes {taste} without {ingredient}",
        "{person} ordered {dish_two} and a glass of {drink}",
        "cut the {vegetable} into small pieces and {cook} them slowly",
        "the kitchen smelled of {smell} {when}",
        "we bought {number} {fruit} at the market",
        "do not forget to wash the {vegetable} first",
        "the cook served {dish_two} on a {plate_adj} plate",
    ],
    "baked": ["a cake", "some bread", "a pie", "biscuits", "an apple tart", "pancakes"],
    "ingredient": ["sugar", "butter", "honey", "cinnamon", "cream", "salt", "flour", "almonds"],
    "ingredient_two": ["pepper", "garlic", "lemon", "vanilla", "ginger", "chocolate", "parsley"],
    "dish": ["soup", "stew", "sauce", "salad", "rice", "curry", "omelette"],
    "dish_two": ["grilled fish", "roast chicken", "noodles", "a sandwich", "fried eggs", "pasta"],
    "taste": ["bland", "delicious", "bitter", "strange", "sweet", "sour", "fresh"],
    "drink": ["water", "milk", "orange juice", "red wine", "cold beer", "lemonade"],
    "vegetable": ["carrots", "potatoes", "onions", "tomatoes", "mushrooms", "beans", "cabbages"],
    "cook": ["fry", "boil", "roast", "steam"],
    "smell": ["coffee", "burnt toast", "fresh basil", "bacon", "warm spices"],
    "fruit": ["apples", "oranges", "pears", "melons", "peaches", "cherries", "bananas"],
    "plate_adj": ["silver", "wooden", "broken", "clean", "blue"],
}

_TRAVEL = {
    "travel": [
        "the {transport} to {city} leaves at {number} o'clock",
        "{person} lost a {luggage} at the {station}",
        "we stayed in a {hotel_adj} hotel near the {sight}",
        "how long does the {journey} to {city} take",
        "the {crew} asked the passengers to {crew_request}",
        "{person} travelled across {country} by {vehicle}",
        "our {transport} was delayed for {number} hours because of {delay}",
        "you need a {document} to cross the border",
        "the tourists photographed the {sight} {when}",
    ],
    "transport": ["train", "bus", "ferry", "flight", "coach", "ship"],
    "city": [
        "paris", "london", "rome", "berlin", "madrid", "vienna", "boston", "chicago", "dublin",
        "athens",
    ],
    "luggage": ["suitcase", "backpack", "passport", "ticket", "wallet", "camera"],
    "station": ["airport", "station", "harbour", "bus stop", "border"],
    "hotel_adj": ["cheap", "luxurious", "quiet", "shabby", "modern", "charming"],
    "sight": ["castle", "cathedral", "old fountain", "museum", "beach", "palace", "lighthouse"],
    "journey": ["journey", "drive", "crossing", "flight", "voyage"],
    "crew": ["captain", "pilot", "driver", "conductor", "guide"],
    "crew_request": ["sit down", "remain calm", "wait outside", "show their tickets", "hurry"],
    "country": ["france", "spain", "canada", "india", "japan", "egypt", "brazil", "norway"],
    "vehicle": ["bicycle", "motorcycle", "train", "camel", "canoe", "balloon"],
    "delay": ["fog", "a strike", "an accident", "engine trouble", "heavy traffic"],
    "document": ["visa", "passport", "permit", "licence"],
}

_WORK = {
    "work": [
        "the {boss} called a meeting about the {topic}",
        "{person} works as a {job} in a {workplace}",
        "please send the {paper} to the {office_person} by {day}",
        "the {company} will hire {number} {jobs} {soon}",
        "the {worker} repaired the {machine} {when}",
        "nobody could find the {paper} in the {furniture}",
        "our profits rose sharply in {month}",
        "the {boss} refused to sign the {paper}",
        "the {jobs} demanded higher wages and {demand}",
    ],
    "boss": ["manager", "director", "president", "owner", "supervisor"],
    "topic": ["budget", "new product", "schedule", "missing money", "merger", "customers"],
    "job": ["nurse", "lawyer", "carpenter", "waiter", "translator", "plumber", "secretary"],
    "workplace": ["hospital", "bank", "factory", "small office", "shipyard", "bakery"],
    "paper": ["contract", "invoice", "report", "letter", "application", "document"],
    "office_person": ["accountant", "secretary", "client", "lawyer", "assistant"],
    "company": ["company", "factory", "agency", "firm", "bank"],
    "jobs": ["engineers", "clerks", "cleaners", "designers", "mechanics", "miners"],
    "worker": ["mechanic", "electrician", "technician", "blacksmith"],
    "machine": ["printer", "engine", "elevator", "furnace", "pump", "generator"],
    "furniture": ["drawer", "cupboard", "archive", "cellar", "desk"],
    "demand": ["shorter hours", "longer holidays", "safer machines", "better contracts"],
}

_MUSIC = {
    "music": [
        "{person} plays the {instrument} in {band}",
        "the {singer} sang a {song_adj} song about {song_topic}",
        "the audience {audience_did} after the {concert}",
        "she practises the {instrument} every {day}",
        "the {instrument} sounds {sound_adj} in this room",
        "{person} danced to the {rhythm} of the {drum}",
        "the composer wrote {number} {works} for {instruments}",
        "turn down the {player} because the baby is asleep",
    ],
    "instrument": ["violin", "piano", "flute", "guitar", "trumpet", "cello", "harp", "organ"],
    "band": ["a jazz band", "an orchestra", "the school choir", "the church", "the street"],
    "singer": ["soprano", "choir", "young singer", "sailor", "poet"],
    "song_adj": ["sad", "cheerful", "famous", "patriotic", "simple", "romantic"],
    "song_topic": ["freedom", "the sea", "lost love", "his homeland", "the war", "spring"],
    "audience_did": ["applauded", "wept", "laughed", "left quietly", "stood up", "whistled"],
    "concert": ["concert", "opera", "first act", "performance", "speech"],
    "sound_adj": ["beautiful", "dull", "harsh", "magnificent", "rather faint"],
    "rhythm": ["rhythm", "beat", "sound", "music"],
    "drum": ["drums", "accordion", "tambourine", "bells"],
    "works": ["sonatas", "symphonies", "songs", "waltzes"],
    "instruments": ["strings", "the piano", "four voices", "a brass band"],
    "player": ["radio", "television", "stereo", "volume"],
}

_FAMILY = {
    "family": [
        "{person} married a {spouse} from {city}",
        "the twins {twins_did} in the {room}",
        "my mother keeps her {keepsake} in a {box_adj} box",
        "the baby {baby_did} all {night}",
        "{person} inherited the {inheritance} from a rich relative",
        "dinner is ready so please lay the table",
        "the children built {built} in the {yard}",
        "he promised his wife a {present} for her birthday",
        "{person} painted the {room} {paint} {when}",
    ],
    "spouse": ["dentist", "farmer", "widow", "soldier", "painter", "professor"],
    "twins_did": ["quarrelled", "played chess", "hid", "fell asleep", "told jokes"],
    "room": ["kitchen", "bedroom", "attic", "living room", "bathroom", "hallway"],
    "keepsake": ["jewels", "letters", "wedding ring", "photographs", "medals"],
    "box_adj": ["locked", "golden", "tiny", "leather", "secret"],
    "baby_did": ["cried", "slept", "coughed", "smiled"],
    "night": ["night", "day", "morning", "afternoon"],
    "inheritance": ["farm", "estate", "portrait", "fortune", "vineyard", "piano"],
    "built": ["a snowman", "a tree house", "a sand castle", "a tent", "a raft"],
    "yard": ["garden", "yard", "park", "orchard"],
    "present": ["necklace", "holiday", "puppy", "diamond", "bunch of roses", "silk dress"],
    "paint": ["white", "orange", "pink", "brown"],
}

_NATURE = {
    "nature": [
        "the {animal} {animal_did} near the {water}",
        "{birds} build their nests in {nest_place}",
        "a {snake_adj} snake crawled under the {under}",
        "the {tree} loses its leaves in {month}",
        "{person} planted {flowers} beside the {fence}",
        "the hunter followed the tracks of a {animal_two}",
        "{insects} are attracted by {attraction}",
        "the {animal_two} is a {animal_adj} animal",
        "the {water} froze during the long winter",
    ],
    "animal": ["deer", "fox", "wolf", "horse", "goat", "elephant", "monkey", "rabbit"],
    "animal_did": ["drank", "slept", "grazed", "ran away", "disappeared", "rested"],
    "water": ["river", "pond", "waterfall", "stream", "lake"],
    "birds": ["swallows", "eagles", "sparrows", "owls", "storks"],
    "nest_place": ["tall trees", "old barns", "the cliffs", "the church tower", "chimneys"],
    "snake_adj": ["poisonous", "long", "spotted", "harmless"],
    "under": ["rocks", "porch", "fence", "dry leaves", "bridge"],
    "tree": ["oak", "maple", "birch", "willow", "chestnut tree"],
    "flowers": ["tulips", "roses", "sunflowers", "herbs", "lilies"],
    "fence": ["fence", "gate", "wall", "barn"],
    "animal_two": ["bear", "lion", "tiger", "leopard", "wild boar", "buffalo"],
    "insects": ["bees", "mosquitoes", "butterflies", "moths", "ants"],
    "attraction": ["light", "sweet fruit", "bright colours", "sweat", "nectar"],
    "animal_adj": ["dangerous", "shy", "powerful", "rare", "hungry", "clever"],
}

_NEWS = {
    "news": [
        "the {government} passed a law against {crime}",
        "the {suspect} was arrested for {crime_two} {when}",
        "the {politician} {politician_did} the {proposal}",
        "voters in {country} will elect a new {office} in {month}",
        "the {court} found him guilty of {crime_two}",
        "the earthquake destroyed {number} {buildings}",
        "the newspaper published a story about {scandal}",
        "the police are searching for the {wanted}",
        "both countries signed a treaty on {treaty}",
    ],
    "government": ["government", "parliament", "senate", "city council", "king"],
    "crime": ["corruption", "smoking in restaurants", "gambling", "pollution", "child labour"],
    "crime_two": ["murder", "fraud", "theft", "burglary", "treason", "bribery"],
    "suspect": ["suspect", "banker", "thief", "general", "spy"],
    "politician": ["minister", "mayor", "senator", "ambassador", "governor"],
    "politician_did": ["criticised", "supported", "rejected", "defended", "postponed"],
    "proposal": ["plan", "reform", "tax", "decision", "agreement", "strike"],
    "office": ["president", "parliament", "governor", "chancellor"],
    "court": ["court", "judge", "jury", "tribunal"],
    "buildings": ["villages", "schools", "apartments", "bridges", "churches"],
    "scandal": ["the scandal", "stolen paintings", "the hidden treasure", "the election"],
    "wanted": ["murderer", "missing child", "stolen truck", "witness", "weapon"],
    "treaty": ["trade", "nuclear weapons", "fishing", "human rights", "peace"],
}

_SPORT = {
    "sport": [
        "the {team} won the {cup} by {number} {points}",
        "the {player_name} broke his {bone} in the {half}",
        "{person} runs {number} miles every {day}",
        "the referee stopped the {match} because of the {stop}",
        "she is training for the {event} in {country}",
        "the crowd cheered when the {player_name} {scored}",
        "the swimmer touched the wall {margin} before her rival",
        "our coach is {coach_adj} with the {team_two}",
    ],
    "team": ["home team", "visitors", "national team", "champions", "students"],
    "cup": ["final", "championship", "cup", "first game", "tournament"],
    "points": ["points", "goals", "games", "seconds"],
    "player_name": ["goalkeeper", "striker", "rider", "boxer", "skier", "captain"],
    "bone": ["leg", "arm", "nose", "ankle", "finger", "wrist"],
    "half": ["first half", "second round", "last minute", "semifinal"],
    "match": ["match", "fight", "race", "game"],
    "stop": ["rain", "noise", "injury", "darkness", "protest"],
    "event": ["marathon", "olympics", "regatta", "cycling race", "tennis tournament"],
    "scored": ["scored", "fell", "entered the field", "raised the trophy"],
    "margin": ["just", "half a second", "well", "shortly"],
    "coach_adj": ["angry", "satisfied", "patient", "strict", "disappointed"],
    "team_two": ["team", "defence", "beginners", "result", "players"],
}

_HEALTH = {
    "health": [
        "the doctor examined {person_of} {organ} carefully",
        "take {number} {medicine} a day with plenty of water",
        "{person} suffers from {illness} in {month}",
        "smoking is harmful to your {organ}",
        "the nurse {nurse_did} the {patient}",
        "he felt {feeling} after the {treatment}",
        "regular {exercise} keeps the {organ} healthy",
        "the {patient} recovered slowly from {illness_two}",
        "she brushed her {brush} in front of the mirror",
    ],
    "person_of": ["my", "her", "his", "the sailor's", "the patient's"],
    "organ": ["heart", "lungs", "eyes", "skin", "stomach", "knee", "brain", "throat"],
    "medicine": ["pills", "spoonfuls", "tablets", "drops"],
    "illness": ["allergies", "headaches", "insomnia", "asthma", "back pain", "depression"],
    "illness_two": ["the operation", "pneumonia", "a fever", "malaria", "the accident"],
    "nurse_did": ["comforted", "washed", "woke", "weighed", "vaccinated"],
    "patient": ["patient", "old soldier", "injured man", "victim", "prisoner"],
    "feeling": ["dizzy", "weak", "much better", "tired", "nervous", "relieved"],
    "treatment": ["treatment", "injection", "massage", "long walk", "surgery"],
    "exercise": ["exercise", "swimming", "sleep", "walking", "yoga"],
    "brush": ["hair", "teeth", "long hair"],
}

_SCHOOL = {
    "school": [
        "the teacher explained {subject} to the {class_adj} class",
        "{person} failed the {exam} in {subject_two}",
        "the library has {number} books on {subject}",
        "the pupils learned a poem about {poem}",
        "he solved the {puzzle} in {number} minutes",
        "scientists discovered {discovery} in {country}",
        "{person} reads {reading} in bed",
        "the professor gave a {lecture_adj} lecture on {subject}",
        "write your name at the {page_place} of the page",
    ],
    "subject": ["physics", "grammar", "astronomy", "evolution", "philosophy", "electricity"],
    "subject_two": ["mathematics", "chemistry", "geography", "history", "latin", "biology"],
    "class_adj": ["noisy", "entire", "bored", "small", "curious"],
    "exam": ["exam", "oral test", "course", "first exercise"],
    "poem": ["autumn", "a nightingale", "a lonely knight", "two lovers", "death"],
    "puzzle": ["puzzle", "riddle", "equation", "crossword", "mystery"],
    "discovery": ["an ancient tomb", "a new planet", "oil", "an unknown species", "fossils"],
    "reading": ["novels", "the newspaper", "fairy tales", "magazines", "poetry"],
    "lecture_adj": ["boring", "brilliant", "short", "confusing", "fascinating"],
    "page_place": ["top", "bottom", "back", "beginning"],
}

_TOWN = {
    "town": [
        "the {shop} on the corner sells {goods}",
        "the {vehicle_two} hit a {obstacle} on {street} street",
        "they are building a {building} behind the {landmark}",
        "turn left at the {landmark} and walk straight ahead",
        "the {town_person} swept the {surface} {when}",
        "the streets were {street_adj} during the {festival}",
        "somebody stole a {stolen} from the {shop}",
        "the {landmark} was built {number} hundred years ago",
        "it costs {number} dollars to park near the {landmark}",
    ],
    "shop": ["bakery", "pharmacy", "bookshop", "butcher", "jeweller", "grocery"],
    "goods": ["candles", "stamps", "cheese", "umbrellas", "newspapers", "tobacco", "toys"],
    "vehicle_two": ["taxi", "truck", "ambulance", "tram", "wagon"],
    "obstacle": ["lamp post", "dog", "parked car", "cyclist", "mailbox"],
    "street": ["main", "church", "station", "market", "bridge"],
    "building": ["theatre", "stadium", "prison", "mosque", "shopping centre", "hotel"],
    "landmark": ["town hall", "post office", "statue", "cemetery", "university", "clock tower"],
    "town_person": ["shopkeeper", "caretaker", "widow", "porter"],
    "surface": ["pavement", "stairs", "floor", "square"],
    "street_adj": ["crowded", "empty", "slippery", "decorated", "peaceful"],
    "festival": ["festival", "parade", "night", "elections", "carnival"],
    "stolen": ["necklace", "bicycle", "bag of coins", "typewriter", "leather coat"],
}
# fmt: on

DOMAINS = (
    "weather", "food", "travel", "work", "music", "family",
    "nature", "news", "sport", "health", "school", "town",
)  # fmt: skip
RULES = {
    **_SHARED, **_WEATHER, **_FOOD, **_TRAVEL, **_WORK, **_MUSIC, **_FAMILY,
    **_NATURE, **_NEWS, **_SPORT, **_HEALTH, **_SCHOOL, **_TOWN,
}  # fmt: skip


def reads_well(sentence):
    """Refuse sentences out of bounds or that say a content word twice.

    Args:
        sentence: str in lower case.

    Returns:
        bool.
    """
    words = sentence.split()
    long_words = [word for word in words if len(word) > 3]
    return 4 <= len(words) <= 14 and len(set(long_words)) == len(long_words)
