"""What pages call their parts, in the languages in which exchanges run their help centres."""

import re

#: What stands before the date of publication.
PUBLISHED_LABEL = re.compile(
    r"(?:first )?(?:published|posted|created|publicado|publié|veröffentlicht|pubblicato|опубликовано|发布|發布|"
    r"公開|yayınlan)[^\d:：]{0,20}[:：]?",
    re.IGNORECASE,
)
#: What stands before the date of the last change.
UPDATED_LABEL = re.compile(
    r"(?:last\s+)?(?:updated|modified|edited|reviewed|update|actualizad[oa]|actualización|atualizad[oa]|"
    r"mis à jour|mise à jour|aktualisiert|aggiornat[oa]|обновлен[оа]?|обновлено|更新|güncelle|최종 업데이트|"
    r"업데이트|تحديث)[^\d:：]{0,20}[:：]?",
    re.IGNORECASE,
)
#: The heading of a FAQ.
FAQ_LABEL = re.compile(
    r"\bfaqs?\b|f\.a\.q|frequently asked|common(?:ly asked)? questions|questions (?:and|&) answers|\bq\s?&\s?a\b|"
    r"people also ask|more questions|preguntas (?:y respuestas|frecuentes|comunes)|dudas frecuentes|más preguntas|"
    r"perguntas (?:e respostas|frequentes|comuns)|dúvidas (?:frequentes|comuns)|foire aux questions|"
    r"questions (?:fréquentes|courantes|fréquemment)|häufig(?:e| gestellte) fragen|fragen und antworten|"
    r"domande (?:frequenti|comuni|e risposte)|част(?:о задаваемые|ые) вопросы|вопросы и ответы|"
    r"(?:часті|поширені) (?:запитання|питання)|常见问[题答]|常見問[題答]|よくある(?:ご)?質問|質問と回答|"
    r"자주 묻는 질문|الأسئلة (?:الشائعة|المتكررة)|سوالات متداول|پرسش‌?های متداول|अक्सर पूछे जाने|सामान्य प्रश्न|"
    r"s[ıi]k[cç]?a? sorulan|câu hỏi thường gặp|pertanyaan (?:umum|yang sering)|często zadawane pytania|"
    r"najczęstsze pytania|veelgestelde vragen|คำถามที่พบบ่อย",
    re.IGNORECASE,
)
#: The label of a box that leads to other pages.
RELATED_LABEL = re.compile(
    r"(?:related|recommended|suggested|popular|trending|featured|latest|recent(?:ly)?|more|other|similar|top|"
    r"hot)\s+(?:knowledge|articles?|posts?|stories|reads?|reading|news|guides?|topics|pages|content|links|"
    r"viewed(?: articles)?|from .{1,30}|on .{1,30}|in .{1,30})|related|see also|read (?:also|next|more)|also read|"
    r"(?:you|readers) (?:may|might|could|will)? ?also (?:like|enjoy|opened|read|find).{0,20}|keep reading|up next|"
    r"what to read next|recommended(?: for you)?|news(?: ?flash| feed)?|people also (?:read|viewed)|don't miss|"
    r"editor'?s picks?|most (?:read|popular|viewed)|(?:in this|promoted) articles?|"
    r"(?:artículos|temas|contenidos?|lecturas?|noticias|guías) (?:relacionad[oa]s?|recomendad[oa]s?)|"
    r"(?:te puede|también te puede|quizás te) interesa.{0,6}|leer? (?:también|más)|últimas noticias|"
    r"(?:artigos|conteúdos?|notícias) (?:relacionad[oa]s?|recomendad[oa]s?)|leia (?:também|mais)|veja também|"
    r"articles? (?:connexes?|liés?|associés?|similaires|recommandés)|à lire (?:aussi|également)|lire aussi|"
    r"(?:ähnliche|verwandte|weitere|beliebte) (?:artikel|beiträge|themen)|"
    r"das könnte (?:sie|dich) auch interessieren|articoli correlati|leggi anche|"
    r"(?:похожие|связанные|рекомендуемые) (?:статьи|материалы|записи)|читайте также|"
    r"相关(?:文章|阅读|推荐|知识|问题)|相關(?:文章|閱讀|推薦)|推荐阅读|热门文章|最新(?:资讯|消息)|"
    r"関連(?:記事|ページ)|おすすめ(?:の)?記事|관련 (?:기사|글|문서)|مقالات ذات صلة|اقرأ أيضا|संबंधित लेख|"
    r"ilgili (?:makaleler|yazılar)|bài viết liên quan|artikel terkait|powiązane artykuły|gerelateerde artikelen",
    re.IGNORECASE,
)
#: What stands before the link of a paragraph that only leads to another page.
POINTER_LABEL = re.compile(
    r"(?:must|also|follow[- ]?up|further|recommended|suggested)[- ]?read(?:s|ing)?|read (?:also|next|more)|leer? (?:también|más)|"
    r"leia (?:também|mais)|à lire (?:aussi|également)|lire aussi|leggi anche|lesen sie auch|читайте также|相关阅读|相關閱讀|"
    r"推荐阅读|関連記事",
    re.IGNORECASE,
)
#: A heading or label under which the page disclaims.
DISCLAIMER_LABEL = re.compile(
    r"(?:legal |general |important )?disclaimers?(?: of liability)?|aviso legal|descargo de responsabilidad|"
    r"exención de responsabilidad|isenção de responsabilidade|avis de non-responsabilité|"
    r"clause de non-responsabilité|haftungsausschluss|esclusione di responsabilità|отказ от ответственности|"
    r"免责(?:声明|條款|条款)|免責(?:聲明|事項)|면책 ?(?:조항|공고)|إخلاء(?: المسؤولية)?|अस्वीकरण|sorumluluk reddi|"
    r"tuyên bố miễn trừ.{0,14}|penafian|zastrzeżenie",
    re.IGNORECASE,
)
#: A heading of the site's own furniture: comments, votes, newsletters, sharing.
FURNITURE_LABEL = re.compile(
    r"(?:\d+ )?comments?(?: \(?\d+\)?)?|leave a (?:comment|reply)|join the (?:discussion|conversation)|newsletter|"
    r"(?:sign up|subscribe|stay (?:informed|up to date|updated)|get (?:our|the)).{0,40}(?:newsletter|updates|"
    r"inbox|mail)|share(?: (?:this|on|it).{0,20})?|follow us.{0,20}|"
    r"was this (?:article|page|answer|information|content)?\s?(?:helpful|useful)\??|"
    r"did this (?:answer|help).{0,24}|have more questions\?.{0,24}|rate this (?:article|page)|"
    r"(?:table of )?contents|on this page|in this article|comentarios?(?: \(?\d+\)?)?|deja un comentario|"
    r"comentários?(?: \(?\d+\)?)?|commentaires?(?: \(?\d+\)?)?|kommentare?(?: \(?\d+\)?)?|"
    r"комментарии(?: \(?\d+\)?)?|¿te (?:ha resultado|fue|ha sido|resultó) útil.{0,30}|"
    r"¿(?:fue|le resultó|ha sido) útil.{0,30}|este artigo foi útil\??|cet article vous a-t-il.{0,20}|"
    r"war (?:dieser|diese).{0,20}hilfreich\??|评论(?: ?[(（]\d+[)）])?|コメント(?: ?[(（]\d+[)）])?|cookies?|"
    r"(?:we|this site) uses? cookies.{0,40}|en (?:esta página|este artículo)|neste artigo|nesta página|"
    r"sur cette page|auf dieser seite|in diesem artikel|目录|目次",
    re.IGNORECASE,
)
