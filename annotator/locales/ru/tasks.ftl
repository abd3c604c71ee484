submit = Отправить
text-removed = (текст удалён)
speaker-system = Инструкция ассистенту
speaker-user = Пользователь
speaker-plain-text = Простой текст, который продолжает ответ
speaker-assistant = Ассистент
task-prompt = Запрос
task-previous = Предыдущий ответ
task-revision = Вы уже ответили на это задание. Новый ответ заменит прежний; прежний останется в истории.
task-expired = Задание вернулось в очередь: 15 минут ничего не происходило. Отправить ответ всё ещё можно, ничего не пропадёт.

demonstrate-title = Напишите идеальный ответ
demonstrate-answer = Ваш ответ
demonstrate-hint = Можно использовать Markdown. Черновик сохраняется сам.
demonstrate-words = Слов:
demonstrate-preview = Предпросмотр
demonstrate-empty = Сначала напишите ответ
draft-save = Сохранить черновик
draft-saved = Черновик сохранён
draft-saving = Сохраняем…
draft-local = Нет связи: черновик сохранён в этом браузере и отправится, как только она появится
draft-ended = Вы больше не в системе: черновик сохранён в этом браузере. Войдите и откройте это задание снова.
draft-restored = Возвращено то, что вы писали здесь раньше, из этого браузера.
notice-draft-saved = Черновик сохранён.

compare-title = Какой ответ лучше?
compare-side = Ответ { $label }
compare-legend = Какой ответ лучше и насколько?
compare-cut-off = Здесь ответ обрезан: он достиг предельной длины.
compare-a-much = A намного лучше
compare-a-better = A лучше
compare-a-slightly = A чуть лучше
compare-tie = Поровну
compare-b-slightly = B чуть лучше
compare-b-better = B лучше
compare-b-much = B намного лучше
compare-both-bad = Оба плохи
compare-no-choice = Сначала выберите ответ или отметьте, что они равны или оба плохи
compare-rationale = Почему (необязательно)
compare-keys = Клавиша выбирает; та же клавиша ещё раз или Enter отправляет. 0 тоже значит «поровну».

skip = Пропустить
skip-why = Почему на это нельзя ответить?
skip-unclear = Запрос непонятен
skip-not-my-subject = Это не моя тема
skip-language = Недостаточно знаю язык
skip-harmful = Просят о чём-то вредном
skip-broken = Что-то сломано: текст оборван или искажён
skip-other = Другое
skip-note = Пояснение (необязательно)
skip-send = Пропустить задание
skip-no-reason = Укажите причину пропуска

none-title = Для вас здесь пока ничего нет
none-demonstrate = На каждый запрос уже ответили или отвечают сейчас. Скоро могут появиться новые.
none-compare = Все пары уже сравнены или сравниваются сейчас. Новые появятся, когда модель даст новые ответы.
none-back = К проекту

prompts-title = Запросы
prompts-paste = Вставить
prompts-paste-label = Запросы
prompts-paste-hint = Запросы разделяются пустой строкой.
prompts-empty = Вставьте хотя бы один запрос
prompts-add = Добавить
prompts-plain = простой текст
prompts-plain-help = Задан простым текстом: модель читает его без шаблона чата, ответ стоит сразу за ним. Запросы в виде сообщений проходят через шаблон, как и чаты.
prompts-upload = Загрузить
prompts-upload-label = Файл JSON Lines
prompts-upload-hint = Строки с полями prompt; messages; prompt и completion; или prompt, chosen и rejected. Можно .gz, до 32 МБ. Запрос, заданный строкой, модель читает без шаблона чата, а заданный списком сообщений — с шаблоном.
prompts-file-refused = Ничего не загружено: { $error }
prompts-count =
    { $n ->
        [one] { $n } запрос
        [few] { $n } запроса
       *[other] { $n } запросов
    }
notice-prompts-added =
    { $value ->
        [0] Всё это уже было.
       *[other] Новых строк: { $value }.
    }
pages = Страницы
pages-previous = Предыдущая
pages-next = Следующая
pages-here = { $n } из { $of }
export-title = Заберите работу с собой
export-hint = JSON Lines в форматах TRL: последнее слово каждого человека, без ничьих и пропусков.
export-demonstrations = Демонстрации
export-preferences = Предпочтения
