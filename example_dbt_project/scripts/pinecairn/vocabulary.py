"""The words that the generated people, companies and campaigns are made of."""

from __future__ import annotations

import unicodedata
from typing import NamedTuple


class Locale(NamedTuple):
    """Where a person lives: `offset` is in minutes east of UTC; a name may carry its Latin spelling after a bar."""

    weight: int
    country: str
    time_zone: str
    offset: int
    first_names: tuple[str, ...]
    last_names: tuple[str, ...]


def _locale(weight: int, country: str, time_zone: str, offset: int, first: str, last: str) -> Locale:
    return Locale(weight, country, time_zone, offset, tuple(first.split(", ")), tuple(last.split(", ")))


LOCALES = (
    _locale(
        22,
        "US",
        "America/New_York",
        -300,
        "Olivia, Marcus, Dana, Priscilla, Tyrone, Mary Jo, Wyatt, Imani, Jesse, Renée, D'Angelo, Kim",
        "Carter, Nguyen, O'Brien, Washington, Smith-Jones, Delgado, McAllister, Kaur, Brooks, Fitzgerald, Ito, Null",
    ),
    _locale(
        14,
        "GB",
        "Europe/London",
        0,
        "Siân, Alistair, Oluwaseun, Poppy, Rhys, Aoife, Gareth, Zadie, Callum, Niamh",
        "Okafor, Llewellyn, Ó Súilleabháin, Hughes, Blythe, St John, Patel, MacLeod, Whitcombe, Ng",
    ),
    _locale(
        12,
        "DE",
        "Europe/Berlin",
        60,
        "Jürgen, Zoë, Björn, Käthe, Matthias, Anneliese, Götz, Lieselotte, Till, Günther",
        "Müller, Weiß, Großmann, Schäfer, von der Heyden, Krüger, Yıldız, Böhm, Jäger, Özdemir",
    ),
    _locale(
        9,
        "FR",
        "Europe/Paris",
        60,
        "Chloé, Benoît, Anaïs, François, Maëlle, Jean-Loup, Noémie, Thaïs, Loïc, Gaëlle",
        "Lefèvre, Gérard, d'Aubigné, Bœuf, Mérieux, Ben Saïd, Châtelain, Hébert, Le Gall, Traoré",
    ),
    _locale(
        8,
        "MX",
        "America/Mexico_City",
        -360,
        "Íñigo, María José, Ximena, Ángel, Begoña, Raúl, Itzel, Joaquín, Lucía, Nicolás",
        "Núñez, de la Cruz, Peña, Ibáñez, Güemes, Zúñiga, Muñoz, Ávila, Castañeda, Echeverría",
    ),
    _locale(
        5,
        "PL",
        "Europe/Warsaw",
        60,
        "Łukasz, Małgorzata, Żaneta, Święcisław, Grażyna, Michał, Wojciech, Elżbieta",
        "Wiśniewski, Żółkiewska, Dąbrowski, Łącka, Kośćiński, Gałązka, Środa, Pióro",
    ),
    _locale(
        5,
        "JP",
        "Asia/Tokyo",
        540,
        "美咲|misaki, 翔太|shota, さくら|sakura, 健一|kenichi, 陽菜|hina, 大輔|daisuke",
        "佐藤|sato, 髙橋|takahashi, 渡邉|watanabe, 山﨑|yamazaki, 小林|kobayashi, 齋藤|saito",
    ),
    _locale(
        4,
        "CN",
        "Asia/Shanghai",
        480,
        "伟|wei, 秀英|xiuying, 子涵|zihan, 建国|jianguo, 丽娜|lina",
        "王|wang, 欧阳|ouyang, 刘|liu, 司马|sima, 张|zhang",
    ),
    _locale(
        3,
        "KR",
        "Asia/Seoul",
        540,
        "지우|jiwoo, 서연|seoyeon, 민준|minjun, 하은|haeun",
        "김|kim, 이|lee, 박|park, 남궁|namgung",
    ),
    _locale(
        3,
        "IL",
        "Asia/Jerusalem",
        120,
        "נועה|noa, איתי|itay, שירה|shira, אביגיל|avigail",
        "כהן|cohen, בן־דוד|bendavid, מזרחי|mizrahi, לוי|levi",
    ),
    _locale(
        3,
        "EG",
        "Africa/Cairo",
        120,
        "محمد|mohamed, فاطمة|fatima, يوسف|youssef, ليلى|layla",
        "الحسن|alhassan, عبد الله|abdallah, منصور|mansour, الشافعي|elshafei",
    ),
    _locale(
        5,
        "IN",
        "Asia/Kolkata",
        330,
        "Aarav, Priya, आदित्य|aditya, Lakshmi, தமிழ்|tamil, Rohan",
        "Iyer, Chakraborty, शर्मा|sharma, Singh, Venkataraman, D'Souza",
    ),
    _locale(2, "NP", "Asia/Kathmandu", 345, "Bibek, Sita, सुनिता|sunita, Pemba", "श्रेष्ठ|shrestha, Gurung, Sherpa, Thapa"),
    _locale(
        2,
        "UA",
        "Europe/Kyiv",
        120,
        "Олена|olena, Дмитро|dmytro, Їжак|yizhak, Соломія|solomiia",
        "Шевченко|shevchenko, Ґалаґан|galagan, Коваль|koval",
    ),
    _locale(
        2,
        "GR",
        "Europe/Athens",
        120,
        "Ελένη|eleni, Γιώργος|giorgos, Σοφία|sofia",
        "Παπαδόπουλος|papadopoulos, Νικολαΐδης|nikolaidis",
    ),
    _locale(2, "TR", "Europe/Istanbul", 180, "İpek, Işıl, Çağrı, Şule, Ömer", "Yılmaz, Öztürk, Çelik, Aydın"),
    _locale(2, "VN", "Asia/Ho_Chi_Minh", 420, "Thị Hương, Văn Đức, Quỳnh, Tuấn", "Nguyễn, Trần, Phạm, Đặng"),
    _locale(1, "CA", "America/St_Johns", -210, "Bríd, Gus, Éloïse, Mack", "O'Keefe, Pelley, Tremblay, Noseworthy"),
    _locale(1, "NZ", "Pacific/Chatham", 825, "Aroha, Tāne, Māia, Wiremu", "Ngāta, Tūhoe, Solomon, Day"),
    _locale(1, "AU", "Australia/Eucla", 525, "Bronte, Lachie, Shayla, Jarrah", "Pike, Wirrpanda, Stubbs, Nulla"),
)

COMPANY_FIRST = (
    "Alder",
    "Amber",
    "Anvil",
    "Basalt",
    "Birch",
    "Bluebarn",
    "Bramble",
    "Brass",
    "Cedar",
    "Cinder",
    "Cobalt",
    "Copper",
    "Coral",
    "Crane",
    "Delta",
    "Ember",
    "Fable",
    "Fathom",
    "Fern",
    "Fjord",
    "Foxglove",
    "Gable",
    "Garnet",
    "Granite",
    "Harbour",
    "Hazel",
    "Heron",
    "Indigo",
    "Ivory",
    "Juniper",
)
COMPANY_SECOND = (
    "Labs",
    "Logistics",
    "Studio",
    "Health",
    "Foods",
    "Robotics",
    "Energy",
    "Travel",
    "Legal",
    "Media",
    "Textiles",
    "Analytics",
)
COMPANY_ODD = (
    "Café Lumière|cafelumiere",
    "株式会社みどり|midori",
    "Ångström Optik AB|angstrom",
    "Łódź Textiles sp. z o.o.|lodztextiles",
    "סטודיו שקד|shaked",
    "Crêpe & Co 🥞|crepeandco",
    "O'Hara, Finch & Sons|oharafinch",
    'The "Quoted" Company|quoted',
    "شركة النور|alnoor",
    "Größenwahn GmbH & Co. KG|groessenwahn",
    "  Trailing Spaces Ltd  |trailing",
    "ALLCAPS INDUSTRIES|allcaps",
)

SEGMENTS = ("agency", "ecommerce", "education", "fintech", "healthcare", "manufacturing", "nonprofit", "software")
JOB_TITLES = (
    "Head of Operations",
    "Project Manager",
    "Founder",
    "CTO",
    "Engineer",
    "Marketing Lead",
    "Office Manager",
    "Consultant",
    "Producer",
    "VP, Customer Success",
    "Responsable d'équipe",
    "Geschäftsführer",
    "営業部長",
    "Ops 🚀",
)

EVENTS = {
    "board_viewed": 34,
    "task_created": 22,
    "task_completed": 17,
    "comment_added": 9,
    "file_uploaded": 5,
    "report_viewed": 5,
    "timeline_opened": 3,
    "automation_run": 2,
    "teammate_invited": 1,
    "integration_connected": 1,
    "api_key_created": 1,
}

# slug, name, channel, utm_source, utm_medium
CAMPAIGNS = (
    ("spring-boards", "Spring boards 🌱", "paid_search", "google", "cpc"),
    ("brand-search", "Brand search", "paid_search", "google", "cpc"),
    ("bing-generic", "Bing, generic terms", "paid_search", "bing", "cpc"),
    ("ops-leaders", "Operations leaders", "paid_social", "linkedin", "paid_social"),
    ("retarget-pricing", "Retargeting: pricing page", "paid_social", "facebook", "paid_social"),
    ("fruehling-dach", "Frühlingsaktion DACH", "paid_social", "linkedin", "paid_social"),
    ("weekly-digest", "Weekly digest", "email", "newsletter", "email"),
    ("webinar-planning", "Webinar: planning without meetings", "email", "newsletter", "email"),
    ("win-back", "We miss you", "email", "lifecycle", "email"),
    ("partner-fathom", "Partner: Fathom Analytics", "partner", "fathom", "referral"),
    ("podcast-shipit", "Podcast „Ship it“", "sponsorship", "podcast", "audio"),
    ("seo-templates", "Template library", "organic", "google", "organic"),
)
FORMS = ("newsletter", "webinar", "ebook", "contact_sales")

_LATIN = str.maketrans({"ł": "l", "ß": "ss", "ø": "o", "ı": "i", "đ": "d", "œ": "oe", "æ": "ae", "ð": "d"})


def split_handle(text: str) -> tuple[str, str]:
    """A name and the ASCII handle that it has in addresses: `佐藤|sato` gives both, `Łukasz` becomes `lukasz`."""
    name, _, handle = text.partition("|")
    plain = unicodedata.normalize("NFKD", handle or name.lower()).translate(_LATIN)
    return name, "".join(letter for letter in plain if letter.isascii() and (letter.isalnum() or letter == "'"))
