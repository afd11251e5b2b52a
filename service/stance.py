"""Yes, no, it depends: whether a question asks for one of them, and which one a sentence begins with."""

import re
from typing import Literal

Stance = Literal["yes", "no", "depends"]

# What stands behind a yes or a no that is said, and not the beginning of a longer word or of a name ("No page says").
_SAID = r"(?=\s*[,.;:!…，。、；：！،।–—-]|\s*$)"

# A verb first ("can i", "is it"), whatever is said before it.
_BEGINS = re.compile(
    r"^\W*(?:(?:so|and|but|ok|okay|hi|hey|hello|pls|please|also|then|btw|or|y|und|et|e|и|а)[\s,]+)*"
    r"(?:can|could|do|does|did|is|are|am|was|were|will|would|has|have|had|may|must|should|shall|isn'?t|aren'?t|can'?t|cant|don'?t|doesn'?t|won'?t|cn|wil|"
    r"any (?:way|chance)|puedo|puede|podemos|se puede|hay|es|está|son|tengo|debo|existe|kann|können|muss|darf|ist|sind|gibt|wird|hat|habe|soll|geht|"
    r"peut|puis|peux|est-ce|dois|faut-il|y a-t-il|existe-t-il|posso|pode|é|tem|há|devo|preciso|c'è|devo|kan|moet|mag|is er|"
    r"можно|могу|нужно|надо|есть ли|можно ли|смогу|будет ли|czy|apakah|bisakah|bisa|có thể|هل|क्या|มี)(?!\w)",
    re.IGNORECASE,
)
# Anywhere: particles that only such a question has.
_HOLDS = re.compile(
    r"吗|嗎|么[？?]\s*$|能不能|可不可以|是不是|有没有|会不会|要不要|ますか|ですか|ませんか|でしょうか|나요|까요|습니까|\b(?:mi|mı|mu|mü)(?:yim|yım|yum|yüm|sin|siniz|sınız|dir|dır|yiz|yız)?\b|"
    r"\s(?:không|chưa)\s*\??$|ไหม|มั้ย|หรือไม่|(?<!\w)(?:or (?:not|nah|no|nope)(?=\W*$)|is (?:that|this|it) (?:legit|true|allowed|normal|possible|safe|ok))(?!\w)",
    re.IGNORECASE,
)
# Behind a condition ("if i get liquidated do i owe"), where no question word asks for something else.
_INSIDE = re.compile(
    r"(?<!\w)(?:do|does|did|can|will|could|should|am|are|is|was|have|has) (?:i|you|u|we|they|it|my|the|there|this|that)(?!\w)",
    re.IGNORECASE,
)
_ASKS_ELSE = re.compile(
    r"(?<!\w)(?:how|what|whats|which|wich|why|when|where|who|whose|wat|wen|y tho|wtf)(?!\w)", re.IGNORECASE
)

# What some pages put before an answer.
_ANSWER_MARK = re.compile(
    r"\W*(?:a|answer|antwort|respuesta|resposta|réponse|risposta|ответ|答|答案|回答|답변|답)\s?[:：]\s*", re.IGNORECASE
)

_STANCES: tuple[tuple[Stance, re.Pattern[str]], ...] = (
    (
        "depends",
        re.compile(
            r"\W*(?:it depends|that depends|depends on|not (?:always|necessarily|quite|entirely|in every case|in all cases)|only if|sometimes"
            + _SAID
            + r"|yes and no|depende|no siempre|nem sempre|nicht immer|pas toujours|das hängt|das kommt darauf|es kommt darauf|es hängt|ça dépend|"
            r"cela dépend|dipende|non sempre|зависит|не всегда|это зависит|zależy|duruma göre|değişir|tergantung|tùy|取决于|視情況|视情况|不一定|場合に|"
            r"경우에 따라|يعتمد|निर्भर)",
            re.IGNORECASE,
        ),
    ),
    (
        "yes",
        re.compile(
            rf"\W*(?:yes(?!\w|-|\s+(?:or|and) no)|(?:sí|ja|oui|sim|sì|si|да|так|tak|evet|ya|có|vâng|نعم|हाँ|हां|ใช่){_SAID}|是的|可以的|(?:是|可以|能|会|會|有){_SAID}|はい{_SAID}|"
            rf"(?:네|예){_SAID})",
            re.IGNORECASE,
        ),
    ),
    (
        "no",
        re.compile(
            rf"\W*(?:(?:no|nope|nein|nee|nej|non|não|нет|ні|nie|hayır|tidak|không|لا|नहीं|ไม่){_SAID}|لا يمكن|(?:不|否|没有|沒有|不能|不可以|不会|不會|不是){_SAID}|"
            r"不(?:可以|能|会|會|支持|支援|需要|允许|允許|行)|不是的|いいえ|아니(?:요|오))",
            re.IGNORECASE,
        ),
    ),
)


def is_yes_no(question: str) -> bool:
    """Tell whether a question asks for a yes or a no.

    >>> is_yes_no("can i stop it?"), is_yes_no("how do i stop it?"), is_yes_no("after it blows up do i owe you")
    (True, False, True)
    """
    if _BEGINS.search(question) or _HOLDS.search(question):
        return True
    return bool(_INSIDE.search(question)) and not _ASKS_ELSE.search(question)


def stance(sentence: str) -> Stance | None:
    """Give the yes, the no or the "it depends" that a sentence begins with, or None.

    >>> stance("No, you will not."), stance("Not always."), stance("No page says so.")
    ('no', 'depends', None)
    """
    said = _ANSWER_MARK.match(sentence)
    return next((value for value, pattern in _STANCES if pattern.match(sentence, said.end() if said else 0)), None)
