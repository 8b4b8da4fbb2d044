"""Words that turn what is said around: negation, direction, opposites, in both languages."""

# Tables of words and patterns are read one entry a line.
# ruff: noqa: E501

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

# Negations of what follows them, and of what stands before them.
_FORWARD: Final = (
    r"\b(?:not|no|never|none|nobody|nothing|nowhere|neither|nor|cannot|without|hardly|except|isnt|arent"
    r"|wasnt|werent|dont|doesnt|didnt|wont|cant|couldnt|shouldnt|wouldnt|hasnt|havent|hadnt|unable"
    r"|false|untrue|incorrect)\b|n['’]t\b"
    r"|(?<![가-힣])(?:안|못)(?=\s|$)"
    r"|(?<![가-힣])(?!안(?:녕|내|전|개|쪽|경|타|심|건|주|부|에|으로|은|이|다|과)|못(?:지|생|된|난|에|으로|은|이))"
    r"(?:안|못)(?=[가-힣]{1,6}(?:다|요|니다|음|함|어|아|해|돼|됨|고|지만|는|은|대|네|냐|까)(?![가-힣]))"
)
_BACKWARD: Final = (
    r"(?<=[가-힣])지\s?(?:는\s?|도\s?)?(?:않|못|마|말)"
    r"|(?<![가-힣])(?:않|없|아니|아닙|아닌|아냐|아녜)"
    r"|(?<=[가-힣])(?:없(?:다|어|었|습|는|이|음|고|네|지|을|으)|아니(?:다|라|고|에|며|었)|아닙|아닌)"
    r"|(?<![가-힣])(?:말고|빼고|제외|외에는)"
)
_NEGATION: Final = re.compile(f"(?P<forward>{_FORWARD})|(?P<backward>{_BACKWARD})", re.IGNORECASE)


@lru_cache(maxsize=8192)
def negations(text: str) -> int:
    """Return how often a text negates."""
    return sum(1 for _ in _NEGATION.finditer(text))


@lru_cache(maxsize=8192)
def negated_places(text: str) -> tuple[tuple[int, bool], ...]:
    """Return where a text negates, and whether it negates what follows (else what is before)."""
    return tuple(
        (m.end() if m["forward"] else m.start(), bool(m["forward"]))
        for m in _NEGATION.finditer(text)
    )


# Words that turn a quantity, a time or a statement into another. Of each pair, what a sentence
# says on one side has to stand on the same side in its source.
_PAIRS: Final = tuple(
    (re.compile(one, re.IGNORECASE), re.compile(other, re.IGNORECASE))
    for one, other in (
        (r"\bmore than\b|\bover\b|\babove\b|\bat least\b|\bexceed|\bminimum\b|이상|초과|넘[는은어게겨]|최소|적어도",
         r"\bless than\b|\bunder\b|\bbelow\b|\bat most\b|\bup to\b|\bmaximum\b|\bmax\b|이하|미만|최대|많아야"),
        (r"\bmore\b|\bhigher\b|\blonger\b|\blater\b|\bbigger\b|더 (?:많|높|길|늦|크|큰)",
         r"\bless\b|\bfewer\b|\blower\b|\bshorter\b|\bearlier\b|\bsmaller\b|더 (?:적|낮|짧|일찍|작)|덜"),
        (r"\bbefore\b|\bprior to\b|(?<=[\s\d일시분])전(?:에|까지|엔)?(?![가-힣])|이전", r"\bafter\b|\bfollowing\b|(?<=[\s\d일시분])(?:후|뒤)(?:에|부터)?(?![가-힣])|이후"),
        (r"\bincreas\w+|\bris(?:e|es|en|ing)\b|\brose\b|\braised?\b|\bgrew\b|\bwent up\b|\bup from\b|늘[었어리렸]|늘어|올[랐라리려립렸]|오[르른]|인상|증가",
         r"\bdecreas\w+|\bfell\b|\bfall(?:s|ing)?\b|\bdropp?\w*\b|\breduc\w+|\blower(?:ed|s)?\b|\bwent down\b|\bcut\b|\bdown from\b|줄[었어이였]|내[렸려립린]|인하|감소"),
        (r"\bopen(?:s|ed|ing)?\b|\breopen\w*|[열연엽](?:다|어|습|니|립|려|렸)|개장|개업|문을 연",
         r"\bclos(?:e|es|ed|ing|ure)\b|\bshut(?:s)?\b|닫|휴무|휴진|휴관|폐쇄|쉽니다|쉬어|쉰다|쉬는|폐업|폐교"),
        (r"\bfirst\b|\bearliest\b|첫\s?|맨 처음|처음", r"\blast\b|\bfinal\b|\blatest\b|마지막|막차|막배|최종"),
        (r"\bfree\b|\bfor nothing\b|무료|공짜", r"\bpaid\b|\bpay\b|\bcosts?\b|\bcharged?\b|유료|내야|받습니다|받아요"),
        (r"\bwin(?:s|ner|ning)?\b|\bwon\b(?!\s?(?:a|per|each|for|extra)\b)(?<!\d won)(?<!\d\d won)|이겼|이긴|우승|승리", r"\blos(?:e|es|t|ing)\b|\bdefeat\w*|졌[다어습]|패배|패했"),
        (r"\bbuy(?:s|ing)?\b|\bbought\b|샀|사요|삽니다|구매|구입", r"\bsell(?:s|ing)?\b|\bsold\b|팔[아았립]|팝니다|판매|판다"),
        (r"\barriv\w+|도착|입항", r"\bdepart\w*|\bleav(?:e|es|ing)\b|출발|출항|떠[나난났]"),
        (r"\bstart(?:s|ed|ing)?\b|\bbeg[ia]n\w*|시작", r"\bend(?:s|ed|ing)?\b|\bfinish\w*|끝[나났납]|종료|마감|완료|완공"),
        (r"\ballow(?:s|ed)?\b|\bwelcome\b|\bpermitted\b|허용|환영|가능", r"\bban(?:s|ned)?\b|\bforbid\w*|\bprohibit\w*|금지|불가|막[습는았]|통제"),
        (r"\bmorning\b|오전|아침", r"\bevening\b|\bafternoon\b|\bnight\b|오후|저녁|밤"),
        (r"\bleft\b|왼쪽", r"\bright\b(?! (?:now|away))|오른쪽"),
        (r"\bnorth\w*|북쪽", r"\bsouth\w*|남쪽"), (r"\beast\w*|동쪽", r"\bwest\w*|서쪽"),
        (r"\bin favou?r\b|\bsupport(?:s|ed)?\b|\bagree[sd]?\b|찬성|동의", r"\bagainst\b|\boppos\w+|\bdisagree\w*|반대"),
        (r"\bpostponed?\b|\bdelay(?:s|ed)?\b|연기|미[루뤄룹룬]|늦[춥추춰춘]", r"\bcancel\w*|취소|무산"),
        (r"\bmen'?s?\b|\bmale\b|\bman\b|\bboys?\b|남자|남성|수컷", r"\bwomen'?s?\b|\bfemale\b|\bwoman\b|\bgirls?\b|여자|여성|암컷"),
        (r"\btrue\b|사실(?:입니다|이다|이에요|이야|임)", r"\bfalse\b|\bnot true\b|\brumou?rs?\b|사실이 아|거짓|헛소문"),
        (r"\btoday\b|오늘", r"\btomorrow\b|내일"), (r"\byesterday\b|어제", r"\btoday\b|\btomorrow\b|오늘|내일"),
        (r"\beverybody\b|\beveryone\b|\balways\b|\ball\b|\bevery\b|모두|전부|언제나|항상|늘(?=\s)|모든", r"\bsome\b|\bsometimes\b|\bpart(?:s|ly)?\b|일부|가끔|몇몇"),
        (r"\bdaily\b|\bevery day\b|매일", r"\bweekly\b|\bevery week\b|\bonly\b|매주|만(?=\s)"),
        (r"\bcheap(?:er|est)?\b|싸[다고게요진]|저렴", r"\bexpensive\b|비[싸싼]"),
        (r"\bsafe(?:ly|ty)?\b|\bunharmed\b|무사|안전", r"\bdanger\w*|\binjured\b|\bhurt\b|위험|다[쳤친]"),
    )
)  # fmt: skip


def turned_around(sentence: str, source: str) -> str | None:
    """Return what a sentence says the other way round than its source, none where nothing is.

    A word of one side that the source has only on the other side, or not at all, is one.
    """
    for pair in _PAIRS:
        for side, opposite in (pair, pair[::-1]):
            said = side.search(sentence)
            if said and not side.search(source):
                meant = opposite.search(source)
                if meant or side in _INSISTED:
                    return said[0].strip()
    return None


# Directions of a quantity count even where the source has no direction at all.
_INSISTED: Final = frozenset(side for pair in _PAIRS[:3] for side in pair)
