"""Names across scripts: `아키라` and `Akira`, `유수프` and `Yusuf`, sound the same."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import Final

_INITIALS: Final = [
    "g",
    "kk",
    "n",
    "d",
    "tt",
    "r",
    "m",
    "b",
    "pp",
    "s",
    "ss",
    "",
    "j",
    "jj",
    "ch",
    "k",
    "t",
    "p",
    "h",
]
_VOWELS: Final = [
    "a",
    "ae",
    "ya",
    "yae",
    "eo",
    "e",
    "yeo",
    "ye",
    "o",
    "wa",
    "wae",
    "oe",
    "yo",
    "u",
    "wo",
    "we",
    "wi",
    "yu",
    "eu",
    "ui",
    "i",
]
_FINALS: Final = [
    "",
    "k",
    "k",
    "ks",
    "n",
    "nj",
    "nh",
    "t",
    "l",
    "lk",
    "lm",
    "lp",
    "ls",
    "lt",
    "lp",
    "lh",
    "m",
    "p",
    "ps",
    "t",
    "t",
    "ng",
    "t",
    "t",
    "k",
    "t",
    "p",
    "h",
]

# Sounds that the two scripts do not keep apart.
_CONSONANTS: Final = (
    ("ck", "k"), ("ch", "j"), ("sh", "s"), ("ph", "p"), ("th", "s"), ("gh", ""), ("wh", "w"),
    ("qu", "kw"), ("q", "k"), ("x", "ks"), ("ce", "se"), ("ci", "si"), ("cy", "si"), ("c", "k"),
    ("g", "k"), ("d", "t"), ("b", "p"), ("f", "p"), ("v", "p"), ("l", "r"), ("z", "j"),
    ("ng", "n"), ("nk", "n"), ("tt", "t"), ("kk", "k"), ("pp", "p"), ("ss", "s"), ("jj", "j"),
)  # fmt: skip
_SILENT: Final = re.compile(r"[aeiouwyh']+")
_LATIN: Final = re.compile(r"[a-z']+")


@lru_cache(maxsize=16384)
def romanize(hangul: str) -> str:
    """Return Hangul syllables in the letters of the Revised Romanization, without its sandhi."""
    out: list[str] = []
    for syllable in hangul:
        code = ord(syllable) - 0xAC00
        if 0 <= code < 11172:
            initial, rest = divmod(code, 588)
            vowel, final = divmod(rest, 28)
            out.append(_INITIALS[initial] + _VOWELS[vowel] + _FINALS[final])
        else:
            out.append(syllable)
    return "".join(out)


@lru_cache(maxsize=16384)
def skeleton(name: str) -> str:
    """Return the consonants of a name as both scripts can write them, `""` for other scripts."""
    letters = unicodedata.normalize("NFD", romanize(name).lower())
    letters = "".join(c for c in letters if not unicodedata.combining(c))
    if not _LATIN.fullmatch(letters):
        return ""
    start = "a" if letters[0] in "aeiouwy" else ""
    for written, sound in _CONSONANTS:
        letters = letters.replace(written, sound)
    bones = _SILENT.sub("", letters)
    return start + re.sub(r"(.)\1+", r"\1", bones)


def sounds_alike(hangul: str, latin: str) -> bool:
    """Return whether a Hangul word begins with a Latin name, or is it, by sound.

    Two consonants are too few to tell names apart.
    """
    written = romanize(hangul)
    plain = latin.lower()
    if len(plain) >= 4 and written.startswith(plain):
        return True
    bones, name_bones = skeleton(hangul), skeleton(plain)
    if len(name_bones) < 3 or not bones:
        return False
    return bones.startswith(name_bones) and _near(written, plain)


def _near(written: str, plain: str) -> bool:
    """Return whether the first vowels agree roughly, so that consonants do not decide alone."""
    one, other = _first_vowel(written), _first_vowel(plain)
    return not one or not other or bool(_ALIKE[one] & _ALIKE[other])


_ALIKE: Final = {
    "a": {"a"}, "e": {"a", "e", "i"}, "i": {"e", "i", "a"}, "o": {"o", "u", "a"},
    "u": {"o", "u"}, "y": {"i", "e", "a", "u"},
}  # fmt: skip


def _first_vowel(letters: str) -> str:
    # `eu` is what Hangul puts between consonants that Latin writes side by side.
    spoken = letters.replace("eu", "").replace("eo", "o").replace("ae", "e")
    found = re.search(r"[aeiouy]", spoken)
    return found[0] if found else ""
