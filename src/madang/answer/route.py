"""Where a message goes: to the posts, to the model's own words, or to the program's help."""

# Tables of words and patterns are read one entry a line.
# ruff: noqa: E501

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

from madang.answer.answer import Route

Topic = Literal["one thing", "what is said", "news"]
HelpTopic = Literal[
    "abilities", "deletion", "consent", "sources", "privacy", "languages", "identity"
]


@dataclass(frozen=True, slots=True)
class Routed:
    """Where a message goes, and on `posts` how widely it asks, on `help` after what."""

    route: Route
    topic: Topic = "one thing"
    help_topic: HelpTopic = "abilities"


def route(message: str, *, only_posts: bool = False) -> Routed:
    """Decide by rules in both languages; what no rule knows is a question for the posts."""
    text = " ".join(message.split())
    if not only_posts:
        for pattern, topic in _HELP:
            if pattern.search(text):
                return Routed("help", help_topic=topic)
        # What follows a colon is the text to work on.
        if _POSTS_WANTED.search(text.partition(": ")[0]) is None and any(
            p.search(text) for p in _TALK
        ):
            return Routed("talk")
    if _NEWS.search(text):
        return Routed("posts", "news")
    if _WHAT_IS_SAID.search(text):
        return Routed("posts", "what is said")
    return Routed("posts")


def talk_kind(message: str) -> Literal["greeting", "thanks", "other"]:
    """Return what kind of talk a message is, for a reply without a model."""
    text = " ".join(message.split())
    if _GREETING.search(text):
        return "greeting"
    return "thanks" if _THANKS.search(text) else "other"


def is_general_knowledge(message: str) -> bool:
    """Return whether a question is about the world, not about anybody or any place in it.

    Asked only where the posts do not answer: `why do tides happen twice a day?`.
    """
    text = " ".join(message.split())
    if _PARTICULAR.search(text) or any(c.isdigit() for c in text):
        return False
    return bool(_GENERAL.search(text))


def _any(*patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{p})" for p in patterns), re.IGNORECASE)


_HELP: Final[tuple[tuple[re.Pattern[str], HelpTopic], ...]] = (
    (
        _any(
            r"\b(?:delete|remove|erase|take down|forget) (?:all )?(?:my|a|our) (?:own )?(?:posts?|messages?|data|account|tweets?)\b",
            r"(?:내가|제가|내|제|나의|저의)\s?(?:쓴|올린|작성한)?\s?(?:글|게시물|포스트|게시글|데이터)[가-힣]*\s?(?:을|를|은|는)?\s?(?:좀\s?)?(?:지우|지워|삭제|내리)",
        ),
        "deletion",
    ),
    (
        _any(
            r"\b(?:my|our) (?:posts?|messages?|writing|data)\b.*\b(?:used|use|train|training|cited|quoted|answers?)\b",
            r"\bopt[- ]?out\b",
            r"(?:내|제|저의|나의)\s?(?:글|게시물|포스트)[가-힣]*\s.*(?:답변|학습|인용|사용|쓰지|쓰이)",
        ),
        "consent",
    ),
    (
        _any(
            r"\bwhere do(?:es)? (?:you|it|this|madang) (?:get|take|find)\b",
            r"\b(?:whose|which) (?:answers|posts) (?:are|do)\b",
            r"\bhow do you (?:know|work|answer|find)\b",
            r"\bcan i (?:check|trust|verify) (?:you|your|them)\b",
            r"(?:어디서|어디에서)\s?(?:답|정보|자료)[가-힣]*\s?(?:가져|얻|찾|나)",
            r"(?:답변|대답|정보)[가-힣]*\s?(?:어디서|출처|근거|믿어도)",
            r"^(?:너|넌|당신|마당)[가-힣]*\s?(?:어떻게\s?(?:알|답|작동|동작))",
        ),
        "sources",
    ),
    (
        _any(
            r"\bwho can (?:see|read) (?:my|what i)\b",
            r"\b(?:do you (?:remember|store|save|keep|record)|are you (?:recording|saving))\b.*\b(?:i|my|me|chat|conversation|messages?)\b",
            r"(?:내|제)\s?(?:대화|메시지|질문|채팅)[가-힣]*\s?(?:을|를|은|는|이|가)?\s?.*(?:저장|기록|보관|누가|볼 수|기억)",
        ),
        "privacy",
    ),
    (
        _any(
            r"\b(?:can|may|should|do) (?:i|you|we) (?:ask|write|speak|type|understand|answer|talk|reply)\b.*\b(?:in )?(?:english|korean|other languages?)\b\W*$",
            r"\bwhat languages\b.*\b(?:you|speak|support)\b",
            r"(?:영어|한국어|한글|다른 언어|일본어|중국어)[가-힣]*\s?(?:물어|질문|말|대화|써|적어|할 줄|가능)[가-힣\s]*(?:돼|되|될까|있|가능|알아)",
        ),
        "languages",
    ),
    (
        _any(
            r"^\W*(?:so )?(?:what|how much) (?:can|do|could) you (?:do|help|know|offer)\b",
            r"\bwhat (?:can|should) i ask\b",
            r"\bhow (?:do|can|should) i use (?:this|you|it|madang)\b",
            r"^\W*help\W*$",
            r"^(?:넌|너는?|당신은?|여기(?:서|는)?|이거|마당은?)?\s?(?:뭐|뭘|무엇을|무얼|어떤 걸|무슨 일을?)\s?(?:를\s?)?(?:할 수|할수|해 ?줄|도와|할 줄)",
            r"(?:사용법|쓰는 법|이용 방법|사용 방법|도움말)(?:이|을|은|좀)?\s?(?:뭐|알려|어떻게|궁금)?[가-힣\s]*\W*$",
            r"^(?:무엇을|뭐를?|뭘)\s?(?:물어|질문)",
        ),
        "abilities",
    ),
    (
        _any(
            r"\b(?:what|who)(?:'s| is| are|'re) (?:you|madang|this (?:app|site|program|chat|bot))\b\W*$",
            r"\bare you (?:an? )?(?:ai|bot|robot|human|person|real|chatgpt|machine)\b",
            r"^(?:넌|너는?|당신은?|마당은?|마당이)\s?(?:누구|뭐|무엇|사람|인공지능|AI|로봇|봇)",
            r"(?:네|너의|당신)\s?(?:이름|정체)",
        ),
        "identity",
    ),
)

_TALK: Final = (
    # Greetings, thanks, goodbyes, alone or nearly so.
    _any(
        r"^\W*(?:hi|hello|hey|heya|hiya|yo|howdy|greetings|good (?:morning|afternoon|evening|night|day)"
        r"|morning|evening)(?: (?:there|all|everyone|you|folks|again|madang|friend))*\W*$",
        r"^\W*(?:thanks?|thank you|thx|ty|cheers|much appreciated|great|awesome|perfect|nice|cool|ok(?:ay)?"
        r"|got it|lovely|good (?:job|bot)|well done|bye|goodbye|see (?:you|ya)|good ?night|sorry)\b(?!.*\?)[^?]{0,60}$",
        r"\bhow are you\b|\bhow(?:'s| is) it going\b|\bhow do you feel\b|\bwhat'?s up\W*$|\bnice to meet you\b"
        r"|\bhave a (?:nice|good) (?:day|one)\b",
        r"^\W*(?:안녕|안뇽|하이|헬로|반가|방가|ㅎㅇ|ㅂㅇ|잘\s?자|잘\s?있어|좋은\s?(?:아침|하루|밤|저녁)|굿모닝|굿밤|여보세요)[^?]{0,25}[!~.ㅎㅋ\s]*$",
        r"^\W*(?:안녕|하이|헬로|반가)[가-힣]{0,5}\W*$",
        r"^\W*(?:고마|고맙|감사|땡큐|ㄳ|ㄱㅅ|수고|미안|죄송|최고|대박|굿|오케이|ㅇㅋ|알겠|그렇구나|좋아요?|잘했)[^?]*$",
        r"(?:잘|어떻게)\s?(?:지내|지냈)(?:니|어|어요|세요|셨어요|나요|죠)?\W*$",
        r"^[ㄱ-ㅎㅏ-ㅣ\s!~?.^]+$",
    ),
    # Translate.
    _any(
        r"\btranslat(?:e|ion of)\b|\bhow do (?:you|i) say\b|\bwhat(?:'s| is| does)\b.{1,40}\b(?:in (?:korean|english|japanese|chinese|spanish|french)|mean in)\b",
        r"번역|(?:영어|한국어|한글|일본어|중국어|베트남어)로\s?(?:뭐|어떻게|바꿔|옮겨|써|말해|적어)",
    ),
    # Draft, rewrite, correct.
    _any(
        r"\b(?:write|draft|compose|create|generate|make up|make)\b(?: me| us)? (?:a|an|some|the|my|up)\b.{0,60}\b(?:post|message|letter|email|e-mail|poem|haiku|song|story|note|reply|text|invitation|ad|advert|caption|speech|card|tweet|toast|essay|limerick|slogan|list)\b",
        r"\bhelp me (?:write|draft|word|phrase|reply|say)\b",
        r"\b(?:rewrite|rephrase|reword|paraphrase|proofread|shorten|polish|summari[sz]e this|correct (?:this|my)|fix (?:this|my) (?:text|grammar|sentence|english|korean)|make (?:this|it|that) (?:sound|more|shorter|friendlier|politer|nicer|longer))\b",
        r"\bcheck (?:my|this|the) (?:grammar|spelling|sentence|english|korean)\b",
        r"(?:글|문구|문자|메시지|편지|시|소설|인사말?|초대장|안내문|공지문?|이메일|메일|답장|축사|자기소개서|후기|캡션|제목)[가-힣]*\s?(?:을|를)?\s?(?:하나|한\s?편|좀|짧게|길게|대신|예쁘게|정중하게|한번|한 줄)*\s?(?:만\s?)?(?:써|적어|작성|지어|만들어|다듬|고쳐)\s?(?:줘|주|줄|봐|달)",
        r"(?:써|작성해|지어|다듬어|고쳐|바꿔|줄여)\s?(?:줘|주세요|줄래|주실|달라|봐줘)",
        r"맞춤법|띄어쓰기\s?(?:봐|맞|고쳐|확인)|문장\s?(?:좀\s?)?(?:봐|고쳐|다듬)",
    ),
    # Jokes, riddles, games, company.
    _any(
        r"\b(?:tell|give|know)\b.{0,15}\b(?:joke|riddle|story|fun fact|pun)\b|\bask me (?:a|something)\b|\bplay (?:a game|with me|word)\b|\bsing (?:me|a)\b|\bi'?m (?:so )?(?:bored|sad|tired|lonely|happy|exhausted|stressed|hungry|sleepy)\b",
        r"농담|아재\s?개그|수수께끼|끝말잇기|넌센스|심심(?:해|한데|하다)|재밌는\s?(?:얘기|이야기)\s?(?:해|하나)|놀아\s?줘|스무고개|노래\s?(?:불러|해)\s?줘|삼행시",
        r"^[^?？]*(?:피곤|힘들|우울|외롭|심심|배고프|졸리|슬프|속상|짜증|행복|신난)[가-힣]*[.!~ㅠㅜㅎㅋ\s…]*$",
        r"^\W*(?:long|bad|rough|hard|tough|great|good) day\b",
    ),
    # Arithmetic and units.
    _any(
        r"\d\s?(?:[-+*/×÷^x]|plus|minus|times|divided by|multiplied by)\s?\d",
        r"\bsquare root\b|\b\d+(?:\.\d+)?\s?%\s?of\s?\d|\bconvert\b.*\d",
        r"\b(?:what(?:'s| is)|how (?:many|much) (?:is|are))\b\s?\d[\d.,]*\s?\w+ (?:in|to) \w+\W*$",
        r"\d\s?(?:더하기|빼기|곱하기|나누기|곱하면|더하면|나누면|빼면)",
        r"\d[\d.,]*\s?[가-힣a-z]+(?:은|는|이|가)?\s?(?:몇|얼마)\s?(?:마일|킬로|미터|센티|인치|피트|파운드|온스|평|그램|리터|야드|화씨|섭씨)",
    ),
)

_GREETING: Final = _any(
    r"^\W*(?:hi|hello|hey|heya|hiya|yo|howdy|greetings|good (?:morning|afternoon|evening|day)|morning)\b",
    r"\bhow are you\b|\bnice to meet you\b",
    r"^\W*(?:안녕|안뇽|하이|헬로|반가|방가|ㅎㅇ|좋은\s?(?:아침|하루|저녁)|굿모닝)",
)
_THANKS: Final = _any(
    r"^\W*(?:thanks?|thank you|thx|ty|cheers|much appreciated)\b",
    r"^\W*(?:고마|고맙|감사|땡큐|ㄳ|ㄱㅅ|수고)",
)

# Words that ask for the posts whatever else the message says.
_POSTS_WANTED: Final = _any(
    r"\bwhat (?:are|do|did|were) (?:people|folks|members|they|everyone|residents)\b.*\b(?:say|saying|said|think|thinking|talking)\b",
    r"\bany (?:news|updates?)\b",
    r"\bthe posts\b",
    r"\b(?:did|does|has|is) any(?:one|body)\b",
    r"(?:얘기|이야기|글|소식|의견|반응|후기)[가-힣]*\s?(?:나온|있으면|올라온|정리|요약|모아|보여|알려|찾아)",
)

_NEWS: Final = _any(
    r"^\W*(?:so |hey,? )?(?:what(?:'s| is| has been|s)) (?:going on|new|happening|up|the (?:latest )?(?:news|buzz|talk|word))"
    r"(?: (?:today|now|lately|recently|here|around here|in (?:the |this )?(?:town|village|community|neighbou?rhood|group|here)|these days|tonight|this (?:week|morning|evening)|with (?:everyone|you all)))*\W*$",
    r"^\W*(?:what are (?:people|folks|they|members) (?:talking|chatting) about|any news|anything new|what did i miss|catch me up|latest (?:posts?|news))"
    r"(?: (?:today|now|lately|recently|here|these days|this week|in town))*\W*$",
    r"^\W*(?:요즘|오늘|최근에?|지금|여기|동네|이번\s?주|어제|우리\s?동네|다들)?\s?(?:에?서?는?)?\s?(?:다들\s?|사람들[이은]?\s?|동네\s?)?(?:무슨|어떤|뭔)\s?(?:얘기|이야기|소식|일|글|말)[가-힣]{0,3}\s?(?:해|하고|하나|하니|있|나누|올라|돌아|나와|오가)[가-힣\s]*\W*$",
    r"^\W*(?:요즘|오늘|최근|새|새로운|동네)\s?(?:소식|뉴스|새 글|글|화제|이슈)[가-힣\s]{0,12}\W*$",
    r"^\W*(?:무슨 일 있어|별일 없|뭐 새로운 (?:거|소식|일)|새로운 소식|새 소식)[가-힣\s]*\W*$",
)
_WHAT_IS_SAID: Final = _any(
    r"\bwhat (?:are|do|did|were) (?:people|folks|members|they|everyone|residents|locals|you all)\b.*\b(?:say|saying|said|think|thinking|talking|feel)\b",
    r"\bany (?:news|updates?|posts?|word) (?:from|about|on|of)\b|\bnews (?:about|from|on)\b",
    r"\b(?:summari[sz]e|sum up|show me|list|give me)\b.*\b(?:posts?|opinions?|views?|reactions?|discussion|said)\b",
    r"\b(?:opinions?|reactions?|reviews?) (?:on|about|of|to)\b",
    r"\bwhat'?s (?:new|happening|going on) (?:with|at|about|in)\b",
    r"(?:얘기|이야기|소식|글|의견|반응|후기|여론|생각)[가-힣]*\s?(?:나온|있으면|올라온|정리|요약|모아|다\s?보여|보여|알려|찾아|어때|어땠|어떤가|뭐|좀|있어|있나|들려)",
    r"(?:에\s?대해|에\s?관해|관련해서?)\s?(?:뭐라고|어떻게|무슨)[가-힣\s]*(?:하|말|생각)",
    r"(?:찬성|반대)[가-힣]*\s?(?:의견|이랑|과|하고)",
)

_GENERAL: Final = _any(
    r"^\W*why (?:do|does|is|are|can|can't|don't)\b",
    r"^\W*how (?:do|does|is|are) (?!i\b|we\b|you\b)\w+",
    r"^\W*what (?:is|are|does|do) (?:an? )?\w+(?: \w+){0,3}\W*$",
    r"^\W*(?:explain|define|who (?:invented|discovered|wrote|painted))\b",
    r"^[가-힣\s]{1,14}(?:은|는|이|가)\s왜\s[가-힣\s]{1,12}\W*$",
    r"^왜\s[가-힣]+(?:은|는|이|가)\s[가-힣\s]{1,12}\W*$",
    r"^[가-힣\s]{1,12}(?:이란|란|이라는 게|뜻이)\s?(?:뭐|무엇|무슨)",
)
_PARTICULAR: Final = re.compile(
    r"\b(?:the|this|these|those|that|my|our|your|his|her|their|its|here|now|today|tonight|tomorrow"
    r"|yesterday|was|were|did|isn't|anyone|someone|we|you|i)\b|(?<!^)(?-i:\b[A-Z][a-z]+)|[@#]"
    r"|우리|저희|이번|오늘|내일|어제|지금|요즘|여기|거기|그때|동네|마을|읍|씨|님|[가-힣](?:았|었|했|였|됐|갔|왔|섰|났|렸|졌|뒀|줬|탔)",
    re.IGNORECASE,
)
