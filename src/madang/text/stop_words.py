"""Words of a question that say nothing about what it is asked of."""

from __future__ import annotations

from typing import Final

_ENGLISH: Final = """
    a about am an and any are as at be been being but by can could did do does doing for from
    had has have having he her hers him his how i if in into is it its itself me my of on or our
    ours she should so some than that the their theirs them then there these they this those to
    us was we were what when where which who whom whose why will with would you your yours
    please tell say said says according
"""
# Question words, auxiliary verbs and fillers, as they stand between spaces.
_KOREAN: Final = """
    누가 누구 누구인가 누구인가요 누구야 누구는 누구를 누구의 누구에게 언제 언제인가 언제인가요
    언제야 언제부터 언제까지 어디 어디서 어디에 어디에서 어디로 어디인가 어디인가요 어디야 무엇
    무엇을 무엇이 무엇인가 무엇인가요 무엇으로 무슨 뭐 뭐가 뭐를 뭘 뭐야 뭐라고 왜 어떻게 어떤
    어느 어땠어 어때 어떤가 어떤가요 어떻습니까 몇 얼마 얼마나 얼마인가 얼마인가요 이 그 저 것
    것은 것이 것을 것인가 수 및 등 더 또 또는 그리고 그런데 하지만 그래서 대해 대해서 대한 관한
    관해 관련 관련된 위해 위한 통해 따라 따르면 의해 있는 있다 있나 있나요 있어 있어요 있었나
    있었나요 있습니까 있는지 없나요 없어 하는 하는가 하나요 하나 한 할 했나 했나요 했는가 했는지
    했어 했어요 했습니까 하였는가 합니까 되는 된 되나요 됐어 됐나요 되었나 되었나요 되었는가
    됩니까 인가 인가요 인지 이다 이란 이라고 라고 라는 라는데 알려줘 알려주세요 알려 말해줘
    설명해줘 찾아줘 보여줘 궁금해 궁금해요 좀 제발 사람들이 사람들은
"""
ENGLISH: Final = frozenset(_ENGLISH.split())
KOREAN: Final = frozenset(_KOREAN.split())
