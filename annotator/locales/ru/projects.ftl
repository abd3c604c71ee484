home-title = Проекты
home-empty = Вы пока не участвуете ни в одном проекте. Людей в проект добавляет менеджер, обратитесь к нему.
tasks-waiting =
    { $n ->
        [0] Заданий для вас сейчас нет
        [one] Вас ждёт { $n } задание
        [few] Вас ждут { $n } задания
       *[other] Вас ждут { $n } заданий
    }
tasks-done = выполнено: { $n }
demonstrate-waiting = Писать ответы ({ $n })
compare-waiting = Сравнивать ответы ({ $n })

project-new = Новый проект
project-create = Создать проект
project-name = Название
project-name-missing = Назовите проект
project-name-taken = Проект с таким названием уже есть
project-guidelines = Правила
project-guidelines-hint = Какой ответ здесь считается хорошим. Показываются рядом с каждым заданием; Markdown.
project-no-guidelines = Пока не написаны.
project-for-you = Для вас
project-n-prompts = запросы
project-n-demonstrations = написанные ответы
project-n-comparisons = сделанные сравнения
project-n-open-comparisons = пары, которые ждут сравнения
project-n-runs = запуски
project-add-prompts = Добавить запросы
project-add-people = Добавить людей
project-change = Изменить правила и настройки
project-overlap = Людей на сравнение
project-overlap-hint = Сколько людей оценивает каждую новую пару ответов.
project-changed-meanwhile = Не сохранено: эти настройки изменили после того, как вы открыли страницу
project-stored = Что сохранено сейчас
project-stored-lead = Вот что сохранено сейчас; в форме ниже — то, что ввели вы. Если сохранить форму, она заменит сохранённое.
project-keep-stored = Оставить сохранённое

people-title = Люди
people-empty = Ролей здесь пока ни у кого нет. Администраторы могут всё в любом проекте.
people-add = Добавить человека
people-name = Имя
people-name-hint = Только если учётной записи ещё нет.
people-name-missing = Такого логина ещё нет: укажите имя, которое увидят другие
people-login-hint = Существующий логин или новый.
people-login-wrong = В логине могут быть только буквы, цифры и . - _ @ +
people-login-taken = Учётная запись с таким логином уже есть
people-login-just-taken = Учётную запись с таким логином только что создал кто-то другой. Отправьте форму ещё раз, чтобы дать ей эти роли.
people-roles = Роли
people-login-erased = Сведения о владельце этой учётной записи удалены по закону, и пользоваться ею нельзя. Укажите другой логин, чтобы добавить человека заново
people-role-missing = Выберите хотя бы одну роль
people-remove = Убрать
people-role-not-yours = Роль инженера даёт инженер проекта или администратор
people-remove-not-yours = Этот человек здесь инженер: убрать его может другой инженер или администратор.
link-invitation = Учётная запись создана: { $name } ({ $login }). Пароль выбирают по этой ссылке:
link-reset = Все сеансы завершены, старый пароль больше не действует: { $name } ({ $login }). Новый пароль выбирают по этой ссылке:
link-copy = Скопировать ссылку
link-copied = Скопировано
link-help = Передайте её сами: писем Attune не отправляет. Ссылка сработает один раз, действует до { $until } UTC и показана только сейчас. Если она потеряется, новую выдаст администратор.
welcome-title = Выберите новый пароль
welcome-invited = Добро пожаловать, { $name }
welcome-login = Ваш логин: { $login }. Выберите к нему пароль.
welcome-accept = Сохранить пароль и войти
welcome-over-title = Эта ссылка больше не действует
welcome-over-signed-in = Ею уже воспользовались, или её срок истёк. Вы вошли как { $name }: если это вы, больше ничего делать не нужно.
welcome-go-on = Продолжить
welcome-over = Ею уже воспользовались, её срок истёк или выдана новая. Попросите новую у того, кто её прислал, или у администратора. Если пароль уже выбран, войдите с ним.
admin-people-title = Все люди
admin-people-hint = Все учётные записи. Роли даются в каждом проекте отдельно.
admin-people-state = Состояние
admin-people-disabled = вход закрыт
admin-people-erased = сведения удалены
admin-people-reset = Ссылка для нового пароля
admin-people-disable = Закрыть вход
admin-people-enable = Открыть вход

settings-title = Настройки
settings-signed-in-as = Вы вошли как { $login }.
settings-language = Язык
settings-password = Пароль
settings-current = Текущий пароль
settings-current-wrong = Это не ваш текущий пароль
settings-new = Новый пароль
settings-new-hint = Не короче { $n } знаков; несколько слов легко запомнить.
settings-new-short = Новый пароль должен быть не короче { $n } знаков
settings-again = Новый пароль ещё раз
settings-again-differs = Новые пароли не совпадают
settings-change-password = Сменить пароль
