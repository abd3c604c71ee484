app-name = Attune
skip-to-content = К содержанию
save = Сохранить
login = Логин
password = Пароль
sign-in = Войти
sign-out = Выйти
sign-in-title = Вход
sign-in-refused = Логин и пароль не подходят друг к другу. Проверьте их и попробуйте ещё раз.
sign-in-lapsed = Срок этого одноразового пароля истёк. Попросите у администратора ссылку, чтобы выбрать новый.
one-time-password-note = Вы вошли с одноразовым паролем.
one-time-password-change = Задайте свой

nav-account = Учётная запись
nav-project = Проект
nav-notices = Уведомления
nav-people = Все люди
nav-demonstrate = Писать
nav-compare = Сравнивать
nav-prompts = Запросы
nav-project-people = Люди
nav-runs = Запуски
nav-models = Модели

role-annotator = AI-тренер
role-reviewer = Рецензент
role-manager = Менеджер
role-engineer = Инженер
role-admin = Администратор

form-too-long = Слишком длинно: { $n ->
    [one] { $n } знак
    [few] { $n } знака
   *[other] { $n } знаков
  }, а помещается не больше { $most }. Сократите.
form-invisible = Здесь есть знак, которого никто не увидит. Наберите текст вручную вместо вставки.
form-errors-title = Проверьте форму
notice-saved = Сохранено.
notice-password-changed = Пароль изменён. На всех других устройствах выполнен выход.
notice-person-added = Участник добавлен: { $value }.
notice-account-disabled = Вход закрыт, все сеансы завершены: { $value }. Написанное остаётся.
notice-account-enabled = Вход снова открыт: { $value }.
notice-welcome = Добро пожаловать, { $value }. Пароль сохранён.
notice-person-removed = Участник убран. Всё, что он написал, остаётся.

copy = Копировать
kept-title = Этот текст есть только в этом браузере
kept-lead = На сервере его нет. Скопируйте его или откройте его страницу и отправьте оттуда.
kept-discard = Удалить
kept-leave = Выйти и удалить
kept-stay = Остаться
error-number = Если будете спрашивать об этом, назовите номер:
error-go-home = На главную
error-stale-title = Страница устарела
error-stale-advice = С тех пор как вы её открыли, сеанс закончился или вы вошли заново. Вернитесь назад, обновите страницу и отправьте ещё раз; написанное сохранено в этом браузере.
error-conflict-title = Что-то успело измениться
error-conflict-advice = Вернитесь назад, обновите страницу и попробуйте ещё раз.
error-forbidden-title = Нужна другая роль
error-forbidden-advice = Для этой страницы нужна роль, которой у вас здесь нет. Обратитесь к менеджеру проекта или администратору.
error-not-found-title = Такой страницы нет
error-not-found-advice = Возможно, её удалили или она относится к проекту, в котором вы не участвуете. Проверьте адрес.
error-too-large-title = Слишком большой файл
error-too-large-advice = Отправьте файл поменьше или загрузите его из командной строки: annotator import.
error-too-many-title = Слишком много попыток
error-too-many-advice = Подождите минуту и войдите снова.
error-streams-title = Открыто слишком много окон
error-streams-advice = Закройте часть страниц, которые следят за запусками или ждут ответа модели, и загрузите эту страницу снова.
error-no-cookie-title = Браузер не вернул cookie
error-no-cookie-advice = Attune хранит в cookie, кто вошёл. Разрешите cookie для этого адреса, загрузите страницу заново и отправьте её ещё раз.
error-no-cookie-secure = Сервис настроен на HTTPS (--secure-cookies), а эта страница открыта по обычному HTTP, где браузер не хранит его cookie. Откройте адрес, который начинается с https://, или попросите того, кто следит за сервисом, запустить его без --secure-cookies.
error-slow-title = Отправка заняла слишком много времени
error-slow-advice = Соединение очень медленное или прервалось. Вернитесь назад и отправьте ещё раз; написанное сохранено в этом браузере.
error-body-kind-title = Это пришло не в виде формы
error-body-kind-advice = Вернитесь назад, обновите страницу и отправьте с неё ещё раз. Файлы отправляются как multipart/form-data, и ничего не отправляется сжатым.
error-busy-title = Слишком много сразу
error-busy-advice = Сервис сейчас перегружен. Попробуйте через несколько секунд; написанное сохранено в этом браузере.
error-request-title = Запрос не понят
error-request-advice = Вернитесь назад, обновите страницу и попробуйте ещё раз.
error-internal-title = Произошла ошибка
error-internal-advice = Это наша вина, и она записана в журнал. Попробуйте чуть позже; написанное сохранено в этом браузере.
error-unavailable-title = База данных не отвечает
error-unavailable-advice = Попробуйте через минуту: загрузите эту страницу ещё раз. Написанное сохранено в этом браузере, запуски продолжаются. Если не поможет, сообщите тому, кто следит за сервисом: причина в его журнале.

# Below what went wrong here: the form that was sent, filled in.
sent-again-title = Что вы отправили
sent-again-lead = Сохранилось ли отправленное, сказать нельзя. Оно всё здесь: отправьте ещё раз через минуту и до тех пор не закрывайте страницу.
sent-again-text = Отправленный текст
sent-again = Отправить ещё раз
