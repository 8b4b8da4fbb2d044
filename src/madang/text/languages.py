"""Which language a text is written in: scripts first, then function words."""

from __future__ import annotations

import re
from collections import Counter
from functools import lru_cache
from typing import Final, Literal

UNDETERMINED: Final = "und"

# Tags that say nothing, or that X uses for what is no language: `qme` media, `qht` hashtags, …
_EMPTY_TAGS: Final = {"und", "zxx", "mul", "mis", "art", "qme", "qht", "qst", "qam", "qct"}
# Codes that ISO 639 replaced and archives still carry.
_REPLACED_TAGS: Final = {"in": "id", "iw": "he", "ji": "yi", "jw": "jv", "mo": "ro"}
_LANGUAGE_TAG: Final = re.compile(r"[A-Za-z]{2,3}(?:[-_][A-Za-z0-9]{2,8})*")

_LINK_OR_MENTION: Final = re.compile(r"(?:https?://|www\.)\S+|[@＠]\w+(?:[@.]\w+)*", re.IGNORECASE)
_HASHTAG: Final = re.compile(r"[#＃]\w+")

_SCRIPTS: Final = {
    "Hangul": "\u1100-\u11ff\u3131-\u318e\ua960-\ua97c\uac00-\ud7a3\ud7b0-\ud7fb",
    "Kana": "\u3041-\u309f\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff\uff66-\uff9d",
    "Han": "\u3005\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af",
    "Latin": "A-Za-z\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f\u1e00-\u1eff\uff21-\uff3a\uff41-\uff5a",
    "Cyrillic": "\u0400-\u052f",
    "Greek": "\u0370-\u03ff\u1f00-\u1fff",
    "Arabic": "\u0620-\u064a\u0671-\u06d3\u0750-\u077f",
    "Hebrew": "\u05d0-\u05f2",
    "Thai": "\u0e01-\u0e30\u0e32\u0e33\u0e40-\u0e46",
    "Lao": "\u0e81-\u0eb0\u0ec0-\u0edf",
    "Devanagari": "\u0904-\u0939\u0958-\u0961",
    "Bengali": "\u0985-\u09b9",
    "Gurmukhi": "\u0a05-\u0a39",
    "Gujarati": "\u0a85-\u0ab9",
    "Tamil": "\u0b85-\u0bb9",
    "Telugu": "\u0c05-\u0c39",
    "Kannada": "\u0c85-\u0cb9",
    "Malayalam": "\u0d05-\u0d3a",
    "Sinhala": "\u0d85-\u0dc6",
    "Myanmar": "\u1000-\u102a",
    "Khmer": "\u1780-\u17b3",
    "Georgian": "\u10a0-\u10ff\u1c90-\u1cbf",
    "Armenian": "\u0531-\u0556\u0561-\u0587",
    "Ethiopic": "\u1200-\u137f",
}
# Most posts hold these alone, and counting one script at a time is several times as fast.
_COMMON_SCRIPTS: Final = {
    name: re.compile(f"[{_SCRIPTS[name]}]+") for name in ("Hangul", "Kana", "Han", "Latin")
}
_RARER_SCRIPTS: Final = {
    name: letters for name, letters in _SCRIPTS.items() if name not in _COMMON_SCRIPTS
}
_RARER_SCRIPT_RUN: Final = re.compile(
    f"(?=[{''.join(_RARER_SCRIPTS.values())}])(?:"
    + "|".join(f"(?P<{name}>[{letters}]+)" for name, letters in _RARER_SCRIPTS.items())
    + ")"
)
# How many letters of an alphabet one character is worth, so that scripts compare by words.
_LETTERS_EACH: Final = {"Hangul": 2.5, "Kana": 2.0, "Han": 3.0}

# The languages written in a script, the one that is most written in it first.
_LANGUAGES_OF: Final = {
    script: tuple(languages.split())
    for script, languages in {
        "Hangul": "ko jje",
        "Kana": "ja ryu ain",
        "Han": "zh ja yue wuu lzh nan hak gan cmn ko vi",
        "Cyrillic": "ru uk bg sr mk be kk ky tg mn tt ba cv sah os ce ab uz az bs kv udm chm rue",
        "Greek": "el grc",
        "Arabic": "ar fa ur ps ckb ku sd ug pnb arz ary apc ks az uz ms bal lrc",
        "Hebrew": "he yi lad",
        "Thai": "th tts nod",
        "Lao": "lo",
        "Devanagari": "hi mr ne sa bho mai awa kok doi raj sd ks",
        "Bengali": "bn as mni",
        "Gurmukhi": "pa",
        "Gujarati": "gu",
        "Tamil": "ta",
        "Telugu": "te",
        "Kannada": "kn tcy",
        "Malayalam": "ml",
        "Sinhala": "si pi",
        "Myanmar": "my shn mnw",
        "Khmer": "km",
        "Georgian": "ka xmf",
        "Armenian": "hy hyw",
        "Ethiopic": "am ti gez",
    }.items()
}
_NEVER_LATIN: Final = frozenset(languages[0] for languages in _LANGUAGES_OF.values())

# Letters that one language of a script has and its most common language has not.
_TELLING_LETTERS: Final = {
    "Cyrillic": (("uk", "іїєґІЇЄҐ"), ("be", "ўЎ"), ("mk", "ѓќѕЃЌЅ"), ("sr", "ђћџљњјЂЋЏЉЊЈ")),
    "Arabic": (("ur", "ٹڈڑےں"), ("fa", "پچژگ")),
}

_FUNCTION_WORDS: Final = {
    language: frozenset(words.split())
    for language, words in {
        "en": "the and of to is in that it for you this was with are have not they be at your what "
        "my we but just will from if who how can all there an has do about i'm it's don't thanks "
        "when out up more like get he she his her would their our been than hello please why where",
        "es": "de la que el en y los se del las un por con una su para es al lo como más pero sus "
        "le ya o este sí porque esta cuando muy sin sobre también me hasta hay donde qué yo está "
        "gracias hola",
        "fr": "de la le et les des en un du une que est pour qui dans ce il sur pas ne plus par je "
        "avec tout nous sa au aux cette ou mais vous c'est j'ai être fait sont elle été très merci "
        "bonjour",
        "de": "der die und in den von zu das mit sich des auf für ist im dem nicht ein eine als "
        "auch es an werden aus er hat dass sie nach wird bei einer um am sind noch wie einem über "
        "ich wir aber nur danke",
        "nl": "de en van ik te dat die in een hij het niet zijn is was op aan met als voor had er "
        "maar om hem dan zou wat mijn heeft bij dit naar ook geen worden wij deze door nog bedankt",
        "pt": "de a o que e do da em um para com não uma os no se na por mais as dos como mas ao "
        "ele das seu sua ou quando muito nos já eu também só pelo pela isso você está são obrigado",
        "it": "di e il la che in un a per è una sono mi ho si lo ma ti ha cosa le con no come se "
        "io questo qui sì della del anche più gli alla nel perché delle dei non grazie ciao",
        "sv": "och att det som en på är av för med till den har de inte om ett han men var jag sig "
        "från vi så kan när nu också efter",
        "pl": "w i na z się nie do że o jest to jak po co ale za od przez dla już tak ze są był "
        "czy tylko jego jestem dziękuję",
        "tr": "bir ve bu da de için ile çok ne var gibi daha ben mi o kadar değil sonra ama her "
        "olan olarak teşekkürler",
        "id": "yang dan di itu dengan untuk tidak ini dari dalam akan pada juga ke karena ada kita "
        "saya bisa sudah atau aku kamu nggak",
        "vi": "và là của có không được một cho những trong người với các này để đã tôi khi cũng",
    }.items()
}
_LATIN_WORD: Final = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")


def detect_language(text: str, declared: str | None = None) -> str:
    """Return the language of a text as a BCP 47 tag, `und` where it cannot be told.

    A declared tag wins unless the script of the words contradicts it. Links, mentions and, where
    there are other words, hashtags are not read.
    """
    tag = _clean_tag(declared)
    language = tag.partition("-")[0]
    # Most posts of an archive are one of these two; the rest reads every letter.
    if text.isascii() and tag != UNDETERMINED and language not in _NEVER_LATIN:
        return tag
    if language == "ko" and not _NO_HANGUL.search(text):
        return tag
    words = _LINK_OR_MENTION.sub(" ", text)
    without_tags = _HASHTAG.sub(" ", words)
    scripts = _scripts(without_tags)
    if not scripts:
        scripts = _scripts(words)
    else:
        words = without_tags
    if not scripts:
        return tag
    script = max(scripts, key=lambda name: scripts[name])
    if script == "Latin":
        if tag != UNDETERMINED and language not in _NEVER_LATIN:
            return tag
        found = _latin_language(words)
        return tag if found == UNDETERMINED else found
    if language in _LANGUAGES_OF[script]:
        return tag
    for other, letters in _TELLING_LETTERS.get(script, ()):
        if any(letter in words for letter in letters):
            return other
    return _LANGUAGES_OF[script][0]


def question_language(text: str) -> Literal["ko", "en"]:
    """Return the language that a person who wrote this is answered in: Korean for any Hangul."""
    return "ko" if _ANY_HANGUL.search(text) else "en"


_ANY_HANGUL: Final = re.compile(f"[{_SCRIPTS['Hangul']}]")


_NO_HANGUL: Final = re.compile(f"[^\\W\\d_{_SCRIPTS['Hangul']}]")


@lru_cache(maxsize=1024)
def _clean_tag(declared: str | None) -> str:
    """Return a declared tag in the usual spelling, `und` where it is none or says nothing."""
    tag = (declared or "").strip().replace("_", "-")
    if not _LANGUAGE_TAG.fullmatch(tag):
        return UNDETERMINED
    language, *rest = tag.split("-")
    language = _REPLACED_TAGS.get(language.lower(), language.lower())
    if language in _EMPTY_TAGS:
        return UNDETERMINED
    spelled = [part.upper() if len(part) == 2 else part.lower() for part in rest]
    spelled = [part.title() if len(part) == 4 and part.isalpha() else part for part in spelled]
    return "-".join([language, *spelled])


def _scripts(text: str) -> Counter[str]:
    """Return the weight of each script; kana and Hangul take in the Han between them."""
    weights: Counter[str] = Counter()
    for script, letters in _COMMON_SCRIPTS.items():
        count = sum(map(len, letters.findall(text)))
        weights[script] = count * _LETTERS_EACH.get(script, 1.0)  # type: ignore[assignment]
    if not text.isascii():
        for run in _RARER_SCRIPT_RUN.finditer(text):
            weights[run.lastgroup or ""] += len(run[0])
    han = weights["Han"]
    for script in ("Kana", "Hangul"):
        if han and weights[script] * 8 > han:
            weights[script] += han
            weights["Han"] = 0
            break
    return +weights


def _latin_language(text: str) -> str:
    words = [word.replace("’", "'").lower() for word in _LATIN_WORD.findall(text)]
    scores = Counter(
        {
            language: sum(1.0 for word in words if word in profile)
            for language, profile in _FUNCTION_WORDS.items()
        }
    )
    (best, most), (_, next_most) = scores.most_common(2)
    # Two function words, or one among three words at most, are the least that tells; a name and
    # a loanword or two are not a language.
    enough = 1 if len(words) <= 3 else 2
    if most < enough or most < 0.12 * len(words) or most <= 1.25 * next_most:
        return UNDETERMINED
    return best
