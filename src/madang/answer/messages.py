"""The program's own words, in Korean and English."""

# Tables of words and patterns are read one entry a line.
# ruff: noqa: E501

from __future__ import annotations

from typing import Final, Literal

from madang.answer.route import HelpTopic

Lang = Literal["ko", "en"]

ABSTENTION: Final[dict[Lang, str]] = {
    "en": "The posts do not say. Here are the nearest ones.",
    "ko": "올라온 글에서는 답을 찾지 못했어요. 대신 가장 가까운 글을 보여 드릴게요.",
}
NOTHING_FOUND: Final[dict[Lang, str]] = {
    "en": "The posts do not say, and no post comes near.",
    "ko": "올라온 글에서는 답을 찾지 못했고, 비슷한 글도 없어요.",
}
NO_POSTS: Final[dict[Lang, str]] = {
    "en": "There are no posts yet.",
    "ko": "아직 올라온 글이 없어요.",
}
EMPTY_QUESTION: Final[dict[Lang, str]] = {
    "en": "Ask me something about what people have posted.",
    "ko": "올라온 글에 대해 무엇이든 물어보세요.",
}

# What is said on the route `talk` where no model can say it.
TALK: Final[dict[str, dict[Lang, str]]] = {
    "greeting": {
        "en": "Hello! Ask me anything about what people here have posted.",
        "ko": "안녕하세요! 여기 올라온 글에 대해 무엇이든 물어보세요.",
    },
    "thanks": {
        "en": "You're welcome! Ask me whenever you like.",
        "ko": "천만에요! 언제든 또 물어보세요.",
    },
    "other": {
        "en": "I can't do that well with the model I have here, but I can look through "
        "the posts for you. What would you like to know?",
        "ko": "그건 지금 쓰는 모델로는 잘 해 드릴 수 없어요. 대신 올라온 글에서 찾아 드릴 수 있어요. "
        "무엇이 궁금하세요?",
    },
}

HELP: Final[dict[HelpTopic, dict[Lang, str]]] = {
    "abilities": {
        "en": "I answer questions from what people here have posted, and each answer quotes its "
        "posts so that you can open and check them. Where the posts do not say, I say so. "
        "You can write in English or Korean.",
        "ko": "여기 올라온 글을 바탕으로 질문에 답해요. 답마다 글을 그대로 인용하니 열어서 확인할 수 있어요. "
        "글에 없는 내용은 없다고 말씀드려요. 한국어와 영어로 물어볼 수 있어요.",
    },
    "deletion": {
        "en": "Open your post from a citation, or send its address to whoever runs this place, "
        "who can delete it at once (`madang forget ID`, or `DELETE /v1/posts/{id}`). A deleted "
        "post leaves search and answers within a second and does not come back.",
        "ko": "내 글의 주소를 이곳 운영자에게 알려 주시면 바로 지워 드려요"
        "(`madang forget ID` 또는 `DELETE /v1/posts/{id}`). 지운 글은 1초 안에 검색과 답변에서 사라지고 "
        "다시 나타나지 않아요.",
    },
    "consent": {
        "en": "You decide for each purpose: search, answers, training and more. Tell whoever runs "
        "this place what you refuse, and it holds for all your posts "
        "(`madang consent` sets it and shows why a post may be used). A refusal always wins.",
        "ko": "검색, 답변, 학습 등 쓰임새마다 직접 정하실 수 있어요. 원하지 않는 쓰임새를 이곳 운영자에게 알려 주시면 "
        "내 글 모두에 적용돼요(`madang consent`로 정하고, 왜 쓰이는지도 볼 수 있어요). 거절이 언제나 우선이에요.",
    },
    "sources": {
        "en": "My answers come from the posts of this community and from nothing else. Each "
        "citation opens the post with the quoted words marked, so you can check it yourself. "
        "What a model says in its own words is marked so.",
        "ko": "답은 이 커뮤니티에 올라온 글에서만 가져와요. 인용을 누르면 인용한 부분이 표시된 글이 열려 직접 확인할 수 있어요. "
        "모델이 스스로 한 말에는 그렇다고 표시해요.",
    },
    "privacy": {
        "en": "Conversations stay in your browser; this program does not store what you ask. "
        "It only remembers what is sent along within one conversation.",
        "ko": "대화는 브라우저에만 남고, 이 프로그램은 질문을 저장하지 않아요. 한 대화 안에서 함께 보낸 내용만 기억해요.",
    },
    "languages": {
        "en": "Yes: ask in English or in Korean. I answer in the language you ask in, and quotes "
        "stay in the language they were written in.",
        "ko": "네, 한국어로도 영어로도 물어보세요. 물어본 언어로 답하고, 인용은 쓰인 언어 그대로 보여 드려요.",
    },
    "identity": {
        "en": "I am Madang, a program and not a person. I answer from this community's own posts.",
        "ko": "저는 마당이에요. 사람이 아니라 프로그램이고, 이 커뮤니티에 올라온 글로 답해요.",
    },
}
