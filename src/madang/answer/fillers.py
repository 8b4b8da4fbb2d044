"""Words of a question that say nothing about what it is asked of, beside the stop words.

What only asks, softens or points to here and now: a post that answers need not have them.
"""

# ruff: noqa: SIM905
from __future__ import annotations

import re
from typing import Final

ENGLISH: Final = frozenset(
    """
    whats wheres whens whos hows town village here's weekend lol pls plz hey hi ok okay actually
    really still just also ever yet now currently today nowadays days anyone anybody someone
    somebody people person everyone many much long often old far tall big true get got getting go
    going goes went gone come comes take takes took happen happened happens want wants wanted need
    needs know like way thing things one two apart other another too so visiting visit after
    before when's what's where's who's how's should might must may shall be been being does did
    done having had again back called name named kind type sort not no yes came per each isn't
    wasn't aren't don't doesn't didn't won't can't couldn't let lets up out down over off into say
    says said tell told mention mentioned according user author tweet tweeter tweeted post poster
    posted speaker writer time times date day year month latest newest recent recently most
    first-time behind if you're here ago end finally eventually these under because
    """.split()
)
KOREAN: Final = frozenset(
    """
    동네 동네에서 마을 마을에서 여기 여기서 씨 씨가 씨는 많이 너무 아주 매우 얼마나 나서 하면 보면
    주말 했다는 한다는 있다는 된다는 해야 달라 상영 다시 뭘까 거예요 건지 건데 보고 싶은데 혹 애
    좀더 그날 이날 지금 요즘 요새 최근 최근에 현재 이제 결국 혹시 그냥 진짜 정말 실제로 사람
    사람은 사람이 분 거 거야 건가요 걸로 게 건 데 데가 때 날 적 채 중 중에 중에서 제일 가장 전부
    총 다 좀 꼭 자꾸 새로 우리 저희 내 제 나 저 나요 되나요 되나 돼요 돼 되 될까요 있을까요 있던
    있던데 있대 있대요 없대 했대 한대 쓴대 쓴다 뭐래 뭐래요 뭐였어 뭐였지 뭐였나요 알고 보니 알려
    알려줘 알려주세요 알 수 얼마 얼마예요 얼마에요 얼마였지 얼마였어 얼마였어요 얼마였나요 얼마야
    얼마죠 얼마래 언제쯤 언제였지 언제였어 언제였어요 언제였나요 언제예요 언제래 언제죠 어디래
    어디예요 어디였어 어디였어요 어디서 어디로 누구예요 누구였어 누구였어요 누구였나요 누구야
    누구지 몇이야 몇시 몇시야 며칠 며칠에 며칠이야 무엇인가요 이름 이름은 이름이 돌던데 돌던 라고
    하던데 해요 하라고 하는지 가서 가면 가야 와 와요 어떻게 어떻게되나요 있죠 있지 있었어 있었어요
    있었죠 없었어 볼 받을 해줬어 줬어 대요 왔대요 때문 무엇이라 무엇인지 올해 작년 내년 이번 지난
    다음 이때 당시 그때 누군가 또한 또는 위한 대한 하기 이후 이전 최종 원래 처음 날짜 요일 시간
    시각
    """.split()
)

# Being, having, doing, becoming, giving and knowing with their endings, and ㅋㅋ or ㅠㅠ.
LIGHT_VERB: Final = re.compile(
    r"(?:있|없|계시|하|했|할|한|되|됐|돼|된|될|주|줬|줘|줄|준|드리|아시|알려\s?주|알려\s?준|궁금|헷갈|그럼|그러면|실제로|정말로)"
    r"(?:[나는은을던었였시셨신실지대요까야어아고니면려다래냐습건거데도서게든죠네군구라러며자]|ㄴ|ㄹ|ㅂ)*"
    r"|[ㄱ-ㅎㅏ-ㅣ]+"
)
