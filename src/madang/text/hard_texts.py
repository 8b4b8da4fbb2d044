"""Texts that tokenizers get wrong: what an export must spell the same in every program."""

from __future__ import annotations

from typing import Final

HARD_TEXTS: Final = (
    "The ferry to Dalseom leaves at 7:30 and costs 4,500 won.",
    "새벽호 첫 배는 오전 7시 30분에 떠나고 요금은 4,500원입니다.",
    # Jamo: compatibility letters as in chats, conjoining ones as in decomposed names of files.
    "ㅋㅋㅋㅋㅋ ㅠㅠ ㄹㅇ ㅇㅈ?",
    "\u1112\u1161\u11ab\u1100\u1173\u11af 한글",
    "뷁뙠쀍 훿 햏햏",
    # Emoji: joined by ZWJ, with skin tones, flags, keycaps, the text and the picture form.
    "👩‍👩‍👧‍👦 👍🏽 🏳️‍🌈 🇰🇷🇺🇸 1️⃣ ❤️ ❤︎ ☕",
    "👩\u200d",
    "@alice@mastodon.social @bob_99, cc @민수 #마당 #OpenSource",
    "https://example.org/a/b?q=%EB%A7%88%EB%8B%B9&x=1#top http://한글.kr/길 www.example.com/~me",
    "user.name+tag@example.co.kr",
    # Spaces and line ends of every kind.
    "a  b   c    d     e                f",
    "\ttab\t\ttwo\t \tmixed \t",
    "one\r\ntwo\r\n\r\nthree\rfour\n\n\nfive \n six\n \n",
    " leading and trailing ",
    "   ",
    "\n",
    "\r\n",
    "no\u00a0break\u2003em\u2009thin\u3000ideographic\u200bzero\u2028line\u2029paragraph\u0085next",
    # Digits of several scripts, fractions, superscripts, numbers in circles and letters.
    "0 12 345 6789 1,234,567.89 1e-10 0xFF 3.14159",
    "２０２６年 ٣٤٥ ४५६ ½ ⅔ x² Ⅳ ① ㈠ 十二",
    "010-1234-5678 2026-11-25T22:13:54Z",
    # Names of special tokens are text.
    "<|endoftext|><|im_start|>assistant\nYes<|im_end|>",
    "<|post|> <|cite|> <|pad|> <|im_start <|unknown|> <tool_call> [INST] </s> <s> <unk>",
    "<repo_name><file_sep> <|endof\u200btext|>",
    # Combining marks: composed, decomposed, several on one letter, without a letter.
    "é e\u0301 ñ n\u0303 ő o\u030b",
    "Z͑ͫ̓ͪ̂ͫ̽͏̴̙̤̞͉͚̯̞̠͍A̴̵̜̰͔ͫ͗͢L̠ͨͧͩ͘G̴̻͈͍͔̹̑͗̎̅͛́Ǫ̵̹̻̝̳͂̌̌͘",
    "\u0301\u0308 ◌\u0301",
    "नमस्ते दुनिया ภาษาไทย தமிழ்",
    "שָׁלוֹם \u200fعَرَبِيّ\u200e mixed",
    "日本語とカタカナ、汉字。繁體",
    # Contractions in every case, and the apostrophe of typesetting.
    "I'm you're he'll they'd we've it's don't I'M YOU'RE HE'LL IT'S 'Twas it’s 'ſ",
    "snake_case camelCase kebab-case __init__ a.b.c C++ C# f(x)=x**2;//",
    "!!!??? ... --- *** ~~~ ==> <== ^^;; -_- (╯°□°)╯︵ ┻━┻",
    '{"key": ["value", null, 1.5], "nested": {"a": "\\n"}}',
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "ㅋ" * 70,
    "𝕳𝖊𝖑𝖑𝖔 𝟘𝟙𝟚 𐍈 𓀀 \U0001f9ff",
    "ǅ ǈ ŉ ß ẞ İ ı ﬁ ﬀ Å Ω",
    "\u00ad soft\u00adhyphen \ufeff bom \ufffd replacement \u2060 joiner",
)


def hard_texts() -> tuple[str, ...]:
    """Return the hard texts, and all of them as one, so that each also stands beside others."""
    return (*HARD_TEXTS, "\n".join(HARD_TEXTS), "".join(HARD_TEXTS))
