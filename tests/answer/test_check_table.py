"""What a post bears and what it does not, one sentence a line, written by hand."""

# Tables of words and patterns are read one entry a line.
# ruff: noqa: E501

from __future__ import annotations

import pytest

from madang.answer.check import supported
from madang.posts import Post

POSTS = {
    "ferry": "Last boat back from Dalseom leaves at 18:30. Bicycles are 1,000 won extra, dogs travel "
    "free if they are in a carrier.",
    "winter": "From Monday 2 November the last boat back from Dalseom is at 17:20, no longer 18:00.",
    "clinic": "The clinic is not closing. It is shut for two days, 29 and 30 October, while they "
    "replace the floor.",
    "fish": "Ben Whitlock beat Akira Mori in the fishing contest. Akira caught a 44 cm bream.",
    "rent": "Adults pay 4,500 won, residents pay 2,200 won. At least 12 people must come.",
    "flu": "412 people over 65 have had a flu shot so far, that is 71% of our list.",
    "park": "The first 2 hours are free, after that 1,000 won per hour. There is no entry fee.",
    "cafe": "The café opens at 10:00 every day except Wednesday. Coffee is cheaper before noon.",
    "vote": "Marta is against the cruise terminal. Luis supports it. Nobody has voted yet.",
    "ice": "Block ice stays at 9,000 won. A 20 kg bag of crushed ice rose to 5,500 won.",
    "배": "가온포에서 달섬 가는 첫 배는 07:40입니다. 막배는 오후 5시 20분에 떠납니다. 어른 4,500원, 주민 2,200원.",
    "접종": "백신 입고가 늦어져 65세 이상 접종 시작일을 10월 12일에서 10월 19일로 미룹니다. 신분증 지참은 같습니다.",
    "축제": "등불축제는 취소되지 않았습니다. 일주일 연기되어 10월 24일 토요일에 열립니다.",
    "낚시": "배환이 아키라를 이겼습니다. 1등은 배환 47.5cm, 2등은 아키라 44cm입니다. 총 참가 63명.",
    "수돗물": "기름 유입은 사실이 아닙니다. 새 관의 녹물이 씻겨 나오는 현상이며 마셔도 안전합니다.",
    "주차": "처음 2시간은 무료, 이후 시간당 1천원입니다. 하루 최대 8천원을 넘지 않습니다.",
    "다방": "등대다방은 10월부터 화요일 말고 수요일에 쉽니다. 영업시간은 10시~21시 그대로입니다.",
    "얼음": "11월부터 각얼음 20kg 한 봉지가 5,500원으로 올랐습니다. 통얼음은 9,000원 그대로입니다.",
    "막차": "11월 2일(월)부터 한천역 막차가 21:40에서 21:00으로 당겨집니다. 첫차는 06:10 그대로예요.",
    "강아지": "두부가 만복호 막내 선원으로 취직했습니다. 오선장님이 오늘 데려가셨습니다.",
    "대피소": "대피소는 학교 체육관과 통조림공장 2층입니다. 반려동물은 통조림공장에만 데려올 수 있습니다.",
}

BORNE = """
ferry | The last boat back from Dalseom leaves at 18:30.
ferry | The last boat from Dalseom leaves at 6:30 pm.
ferry | Bicycles are 1,000 won extra.
ferry | Dogs travel free in a carrier.
ferry | Dogs travel free if they are in a carrier.
ferry | The last boat leaves Dalseom at 18:30.
winter | The last boat back from Dalseom is at 17:20 from 2 November.
winter | From Monday 2 November the last boat back is at 17:20, no longer 18:00.
막차 | 한천역 막차가 21:00으로 당겨집니다.
clinic | The clinic is not closing.
clinic | It is shut for two days, 29 and 30 October.
clinic | The clinic isn't closing.
clinic | They replace the floor.
fish | Ben Whitlock beat Akira Mori.
fish | Ben Whitlock beat Akira Mori in the fishing contest.
fish | Akira caught a 44 cm bream.
fish | Akira caught a bream of 44 cm.
rent | Adults pay 4,500 won.
rent | Residents pay 2,200 won.
rent | Residents pay 2200 won.
rent | At least 12 people must come.
flu | 412 people over 65 have had a flu shot.
flu | 412 people over 65 have had a flu shot so far, that is 71% of the list.
park | The first 2 hours are free.
park | There is no entry fee.
cafe | The café opens at 10:00.
cafe | The café opens at 10 am.
cafe | Coffee is cheaper before noon.
vote | Marta is against the cruise terminal.
vote | Luis supports it.
vote | Nobody has voted yet.
ice | Block ice stays at 9,000 won.
ice | A 20 kg bag of crushed ice rose to 5,500 won.
배 | 가온포에서 달섬 가는 첫 배는 07:40입니다.
배 | 달섬 가는 첫 배는 7시 40분입니다.
배 | 막배는 17:20에 떠납니다.
배 | 막배는 오후 5시 20분에 떠납니다.
배 | 어른 4,500원, 주민 2,200원.
배 | 주민은 2,200원입니다.
접종 | 65세 이상 접종 시작일을 10월 19일로 미룹니다.
접종 | 접종 시작일을 10월 12일에서 10월 19일로 미룹니다.
접종 | 신분증 지참은 같습니다.
접종 | 65세 이상 접종 시작일은 10월 19일로 미룹니다.
축제 | 등불축제는 취소되지 않았습니다.
축제 | 일주일 연기되어 10월 24일 토요일에 열립니다.
축제 | 10월 24일 토요일에 열립니다.
낚시 | 배환이 아키라를 이겼습니다.
낚시 | 1등은 배환 47.5cm입니다.
낚시 | 2등은 아키라 44cm입니다.
낚시 | 총 참가 63명입니다.
수돗물 | 기름 유입은 사실이 아닙니다.
수돗물 | 새 관의 녹물이 씻겨 나오는 현상입니다.
수돗물 | 마셔도 안전합니다.
주차 | 처음 2시간은 무료입니다.
주차 | 이후 시간당 1,000원입니다.
주차 | 하루 최대 8천원을 넘지 않습니다.
다방 | 영업시간은 10시~21시 그대로입니다.
다방 | 등대다방은 10월부터 화요일 말고 수요일에 쉽니다.
다방 | 등대다방은 수요일에 쉽니다.
얼음 | 통얼음은 9,000원 그대로입니다.
얼음 | 각얼음 20kg 한 봉지가 5,500원으로 올랐습니다.
얼음 | 각얼음 한 봉지가 11월부터 5,500원으로 올랐습니다.
강아지 | 두부가 만복호 막내 선원으로 취직했습니다.
강아지 | 두부가 만복호 선원으로 취직했습니다.
대피소 | 대피소는 학교 체육관과 통조림공장 2층입니다.
대피소 | 반려동물은 통조림공장에만 데려올 수 있습니다.
"""

NOT_BORNE = """
ferry | The last boat back from Dalseom leaves at 19:30.
ferry | The last boat back from Dalseom leaves at 18:35.
ferry | The first boat back from Dalseom leaves at 18:30.
ferry | The last boat back from Gaonpo leaves at 18:30.
ferry | Bicycles are 10,000 won extra.
ferry | Bicycles travel free.
ferry | Dogs are 1,000 won extra.
ferry | Dogs do not travel free.
ferry | Cats travel free in a carrier.
ferry | The last boat never leaves at 18:30.
ferry | Does the last boat leave at 18:30?
ferry | I think the last boat leaves at 18:30.
ferry | The last boat probably leaves at 18:30.
ferry | Sure, the last boat leaves at 18:30.
winter | The last boat back from Dalseom is at 18:00.
winter | The last boat back from Dalseom is on Monday 2 November.
막차 | 한천역 막차는 11월 2일입니다.
막차 | 한천역 막차는 06:10입니다.
winter | From Tuesday 2 November the last boat back is at 17:20.
winter | From Monday 3 November the last boat back is at 17:20.
clinic | The clinic is closing.
clinic | It is shut for three days.
clinic | The clinic is shut on 28 October.
clinic | It is shut for two days while they replace the roof.
clinic | The clinic is not shut for two days.
fish | Akira Mori beat Ben Whitlock.
fish | Akira Mori beat Ben Whitlock in the fishing contest.
fish | Ben Whitlock caught a 44 cm bream.
fish | Akira caught a 47 cm bream.
fish | Akira caught a 44 kg bream.
fish | Daniel beat Akira Mori in the fishing contest.
rent | Residents pay 4,500 won.
rent | Adults pay 2,200 won.
rent | At most 12 people must come.
rent | Less than 12 people must come.
rent | Adults pay 4,500 dollars.
rent | Adults do not pay 4,500 won.
flu | 412 people under 65 have had a flu shot.
flu | 421 people over 65 have had a flu shot.
flu | That is 17% of our list.
flu | 412 people over 65 have not had a flu shot.
park | There is an entry fee.
park | The first 3 hours are free.
park | The first 2 hours cost 1,000 won.
cafe | The café opens at 10:00 every Wednesday.
cafe | The café closes at 10:00.
cafe | Coffee is cheaper after noon.
cafe | Coffee is more expensive before noon.
cafe | The café opens at 10 pm.
vote | Luis is against the cruise terminal.
vote | Marta supports the cruise terminal.
vote | Everybody has voted.
vote | Marta is not against the cruise terminal.
ice | Block ice rose to 9,000 won.
ice | A 20 kg bag of crushed ice fell to 5,500 won.
ice | Block ice rose to 5,500 won.
배 | 가온포에서 달섬 가는 첫 배는 07:30입니다.
배 | 가온포에서 달섬 가는 막배는 07:40입니다.
배 | 막배는 오전 5시 20분에 떠납니다.
배 | 막배는 오후 6시 20분에 떠납니다.
배 | 주민은 4,500원입니다.
배 | 어른은 2,200원입니다.
배 | 첫 배는 07:40에 떠나지 않습니다.
배 | 첫 배는 몇 시입니까?
접종 | 65세 이하 접종 시작일을 10월 19일로 미룹니다.
접종 | 65세 이상 접종 시작일을 10월 29일로 미룹니다.
접종 | 접종 시작일을 10월 19일로 미루지 않습니다.
접종 | 접종이 취소되었습니다.
접종 | 60세 이상 접종 시작일을 10월 19일로 미룹니다.
접종 | 아마 10월 19일로 미룹니다.
축제 | 등불축제는 취소되었습니다.
축제 | 등불축제는 연기되지 않았습니다.
축제 | 10월 17일 토요일에 열립니다.
축제 | 10월 24일 일요일에 열립니다.
축제 | 불꽃축제는 10월 24일 토요일에 열립니다.
낚시 | 아키라가 배환을 이겼습니다.
낚시 | 1등은 아키라 47.5cm입니다.
낚시 | 2등은 배환 44cm입니다.
낚시 | 총 참가 36명입니다.
낚시 | 총 참가 63마리입니다.
낚시 | 배환이 아키라를 못 이겼습니다.
수돗물 | 기름 유입은 사실입니다.
수돗물 | 마셔도 안전하지 않습니다.
수돗물 | 마시면 위험합니다.
수돗물 | 새 관의 기름이 씻겨 나오는 현상입니다.
주차 | 처음 3시간은 무료입니다.
주차 | 처음 2시간은 유료입니다.
주차 | 하루 최소 8천원입니다.
주차 | 이후 시간당 1만원입니다.
주차 | 처음 2시간은 무료가 아닙니다.
다방 | 등대다방은 10월부터 화요일에 쉽니다.
다방 | 등대다방은 수요일에 문을 엽니다.
다방 | 영업시간은 10시~22시입니다.
다방 | 솔바람은 수요일에 쉽니다.
얼음 | 통얼음은 5,500원입니다.
얼음 | 각얼음 20kg 한 봉지가 5,500원으로 내렸습니다.
얼음 | 각얼음 20kg 한 봉지가 9,000원입니다.
강아지 | 두부가 만복호 선장으로 취직했습니다.
강아지 | 망고가 만복호 막내 선원으로 취직했습니다.
강아지 | 두부가 만복호 막내 선원으로 취직하지 못했습니다.
대피소 | 반려동물은 학교 체육관에만 데려올 수 있습니다.
대피소 | 반려동물은 통조림공장에 데려올 수 없습니다.
대피소 | 대피소는 학교 체육관과 통조림공장 3층입니다.
"""


def cases(table: str) -> list[tuple[str, str]]:
    return [tuple(line.split(" | ", 1)) for line in table.strip().splitlines()]  # type: ignore[misc]


def post(name: str) -> Post:
    return Post(f"t:{name}", "t", POSTS[name], author="somebody", author_name="Somebody")


def test_the_table_is_long_enough() -> None:
    assert len(cases(BORNE)) >= 60
    assert len(cases(NOT_BORNE)) >= 60


@pytest.mark.parametrize(("name", "sentence"), cases(BORNE), ids=lambda value: value)
def test_borne(name: str, sentence: str) -> None:
    verdict = supported(sentence, [post(name)])
    assert verdict.supported, verdict.reason
    assert verdict.post == f"t:{name}"
    assert POSTS[name][verdict.start : verdict.end].strip()


@pytest.mark.parametrize(("name", "sentence"), cases(NOT_BORNE), ids=lambda value: value)
def test_not_borne(name: str, sentence: str) -> None:
    verdict = supported(sentence, [post(name)])
    assert not verdict.supported, verdict.reason
    assert verdict.reason
