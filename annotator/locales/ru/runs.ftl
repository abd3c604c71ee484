runs-title = Запуски
runs-none = Запусков ещё не было. Напишите несколько ответов и обучите на них модель.
times-are-utc = Время указано по UTC.

run-kind = Вид
run-kind-sample = Генерация ответов
run-kind-sft = Дообучение (SFT)
run-kind-reward = Модель награды
run-kind-dpo = Обучение DPO
run-kind-ppo = Обучение PPO
run-kind-fetch = Загрузка исходной модели
run-new-sample = Сгенерировать ответы
run-new-sft = Дообучить (SFT)
run-new-reward = Обучить модель награды
run-new-dpo = Улучшить методом DPO
run-new-ppo = Улучшить методом PPO
run-lead-sample = Модель несколько раз отвечает на каждый запрос. Её ответы становятся заданиями на сравнение.
run-lead-sft = Модель учится отвечать так, как отвечали люди в своих примерах.
run-lead-reward = По сравнениям людей модель учится оценивать ответы.
run-lead-dpo = Модель учится на сравнениях людей напрямую, без модели награды: лучшие ответы становятся для неё вероятнее худших. Её новые ответы затем становятся заданиями на сравнение.
run-lead-ppo = Модель пробует ответы, модель награды их оценивает, и модель сдвигается к лучшим, не уходя далеко от исходной. Её новые ответы затем становятся заданиями на сравнение.

run-status = Состояние
run-status-queued = Ждёт исполнителя
run-status-claimed = Запускается
run-status-running = Выполняется
run-status-interrupted = Прерван, будет продолжен
run-status-succeeded = Готово
run-status-failed = Ошибка
run-status-cancelled = Отменён
run-stopping = Остановится на ближайшем шаге.
run-failed = Запуск завершился с ошибкой:

run-progress = Выполнено
run-launched = Запущен
run-by = Кто запустил
run-cancel = Отменить запуск
run-resume = Продолжить
run-resume-help = С контрольной точки после шага { $step }
run-resume-fetch-help = Уже загружено { $size }, заново это загружаться не будет
run-again = Запустить ещё раз…
run-machine-deterministic = детерминированные алгоритмы
run-machine-not-deterministic = недетерминированные алгоритмы
run-curves = Графики
run-all-metrics = Все метрики, последние значения
run-samples = Что модель отвечает
run-sample-first = Первый ответ, шаг { $step }
run-sample-newest = Последний ответ, шаг { $step }
run-sample-answer = Ответ
run-sample-empty = (пустой ответ)
run-sample-cut-off = обрезан: достигнуто наибольшее число токенов в ответе
run-sample-score = оценка { $score }
run-inputs = С чем работает запуск
run-input-model = Модель
run-input-reward = Модель награды
run-input-dataset = Данные
run-changed-settings = Настройки, отличные от стандартных
run-all-settings = Все настройки
run-made-model = Получена модель:
run-fetched-base = Исходная модель загружена и доступна всем проектам:
run-fetched-known-base = Такая исходная модель здесь уже есть, второй раз она не сохранена:
run-made-tasks = { $n ->
    [one] Из ответов получилось { $n } задание на сравнение.
    [few] Из ответов получилось { $n } задания на сравнение.
   *[many] Из ответов получилось { $n } заданий на сравнение.
}
run-log = Журнал

glance-learning = Учится ли модель?
glance-drift = Не уходит ли далеко?
glance-course = Сколько ещё?
glance-course-over = Сколько это заняло?
glance-cost = Чего это стоило?
glance-held-out-loss = Потери на отложенных запросах
glance-loss-once = Пока измерено один раз. Задайте в настройках более частые измерения или дождитесь измерения после последнего шага.
glance-loss-fell = Снизились на { $percent } %: модель учится отвечать как люди и на запросах, которых не видела.
glance-loss-fell-few = Снизились на { $percent } %, но только на { $n ->
    [one] { $n } отложенном запросе
   *[other] { $n } отложенных запросах
}: этого мало, чтобы судить о других.
glance-loss-flat = Не изменились и на 1 %. Попробуйте повысить скорость обучения или число эпох.
glance-loss-rose = Выросли на { $percent } %. Понизьте скорость обучения или проверьте данные.
glance-loss-rose-again = Наименьшими были на шаге { $step } ({ $lowest }) и с тех пор выросли на { $percent } %: модель заучивает примеры. В следующий раз остановите раньше.
glance-train-loss = Потери на примерах, по которым модель учится
glance-no-held-out-loss = Средние по первым и последним шагам (по { $window }). Отложенных запросов нет, поэтому о новых запросах это не говорит.
glance-held-out-accuracy = Точность на отложенных сравнениях
glance-accuracy-good = Модель согласна с людьми чаще, чем подброшенная монета: сравнений — { $pairs }, от { $low } до { $high } % (95-процентный интервал).
glance-accuracy-unclear = От подброшенной монеты её пока не отличить: сравнений — { $pairs }, 95-процентный интервал от { $low } до { $high } %. Помогут новые сравнения.
glance-accuracy-bad = Модель согласна с людьми реже, чем подброшенная монета: сравнений — { $pairs }, от { $low } до { $high } % (95-процентный интервал). Проверьте данные.
glance-train-accuracy = Точность на сравнениях, по которым модель учится
glance-no-held-out-pairs = Средние по первым и последним шагам (по { $window }). Отложенных сравнений нет, поэтому о новых сравнениях это не говорит.
glance-score = Оценка моделью награды
glance-too-few = Шагов пока мало, чтобы судить.
glance-within-noise = Изменилась не больше, чем колеблется от шага к шагу (средние по первым и последним шагам, по { $window }).
glance-score-rose = Выросла больше, чем колеблется от шага к шагу (средние по первым и последним шагам, по { $window }).
glance-score-fell = Упала больше, чем колеблется от шага к шагу (средние по первым и последним шагам, по { $window }). Понизьте скорость обучения.
glance-kl = Расстояние KL от исходной модели, нат на ответ
glance-kl-near = Недалеко от исходной. Присматриваться стоит с { $watch }, далеко — с { $far }.
glance-kl-watch = Почитайте ответы: выше { $watch } оценка может расти, а ответы — уже нет. Далеко — с { $far }.
glance-kl-far = Далеко от исходной (выше { $far }): возможно, ответы нравятся одной модели награды. Почитайте их; увеличьте вес KL.
glance-kl-negative = Ниже нуля эта величина уже не измеряет расстояние: модель меняется слишком быстро. Понизьте скорость обучения.
glance-entropy = Энтропия: насколько разнообразны ответы
glance-entropy-kept = { $part } % от начальной. Ниже { $low } % ответы становятся одинаковыми, выше { $high } % — случайными.
glance-entropy-low = Снизилась до { $part } % от начальной: ниже { $low } % ответы становятся одинаковыми. Увеличьте вес KL или температуру.
glance-entropy-high = Выросла до { $part } % от начальной: выше { $high } % ответы становятся случайными. Понизьте скорость обучения.
glance-cut = Обрезанные ответы
glance-cut-few = Не закончились в пределах наибольшей длины. Больше { $many } % — слишком много.
glance-cut-many = Больше { $many } % ответов не закончились в пределах наибольшей длины и оцениваются обрезанными. Разрешите ответы подлиннее или задайте штраф за незаконченный ответ.

course-queued = { $n ->
    [one] Перед ним { $n } запуск.
    [few] Перед ним { $n } запуска.
   *[many] Перед ним { $n } запусков.
}
course-next = Он следующий, как только освободится исполнитель.
course-no-worker = Он следующий, но его никто не берёт уже { $time }. Работает ли исполнитель, не занят ли он другим? Запустите его командой `trainer worker` с базой данных и папкой артефактов этого сервиса или позвольте сервису запускать его самому (`--worker local`).
course-claimed = Исполнитель взял его и загружает нужное.
course-running = Начался.
course-left = около { $time }
course-step = Шаг { $step } из { $steps }.
course-speed = Токенов в секунду: { $speed }.
course-arrived = Загружено { $done } из { $all }.
course-bytes = Скорость — { $speed } в секунду.
course-interrupted = Исполнитель пропал. Следующий свободный продолжит с того же места.
course-succeeded = Готово.
course-failed = Завершился с ошибкой.
course-cancelled = Отменён.

cost-time = Время работы
cost-attempts = Попыток
cost-tokens = Токенов
cost-memory = Пик памяти
cost-device = Вычислялось на

beside = Сравнить
beside-title = Запуски рядом
beside-choose = Сравнить этот запуск
beside-how-many = Отметьте от двух до шести запусков.
beside-one-kind = Они должны быть одного вида.
beside-differing = Чем отличаются
beside-nothing-differs = Ничем: входные данные и настройки одинаковы.
beside-same = { $n ->
    [one] Одинаковое: { $n } строка
    [few] Одинаковое: { $n } строки
   *[many] Одинаковое: { $n } строк
}
beside-metrics = Последнее значение каждой метрики
beside-costs = Чего это стоило
beside-no-curves = Для этих запусков рисовать нечего.
beside-answers = Что они отвечают на одни и те же запросы
beside-answer = { $run }, шаг { $step }

notices-title = Завершённые запуски
notices-none = Ваши запуски ещё не завершались. Когда это случится, вы узнаете об этом здесь и на любой открытой странице.
notices-see-all = Отметить все как просмотренные
notices-new = новое
notices-project = Проект
notices-ended = Завершён
notices-outside = Сообщать вне этого окна
notices-outside-on = Включено в этом браузере.
notices-outside-off = Выключено. Браузер попросит разрешения.
notices-outside-denied = Браузер запрещает уведомления для этого адреса; разрешите их в его настройках.
notice-close = Закрыть
notice-run-ended = { $kind } — { $status }


notice-run-queued = Запуск поставлен в очередь. Эта страница следит за ним.
notice-run-cancelled = Запуск попросили остановиться.
notice-run-has-no-checkpoint = Контрольной точки больше нет; запустите ещё раз.

dataset-freeze-demonstrations = Зафиксировать все примеры на этот момент
dataset-freeze-preferences = Зафиксировать все сравнения на этот момент
dataset-freeze-prompts = Зафиксировать запросы проекта на этот момент
dataset-version-line = { $hash } · { $train } + { $eval } отложено · { $at }
dataset-counts = { $train } для обучения, { $eval } отложено
dataset-left-out = Не вошли: пропущено — { $skipped }, ничьих — { $ties }, оба ответа плохи — { $bad }, удалено — { $redacted }.

run-launch = Запустить
run-dataset-help = Зафиксированная версия не меняется. Примерно десятая часть запросов отложена для проверки, во всех версиях одна и та же.
run-no-model = Пока нет модели, с которой можно начать. Добавьте исходную модель в разделе «Модели».
run-no-reward-model = Модели награды пока нет.
run-prompts = Какие запросы
run-prompts-help = Для версии, которая фиксируется сейчас. На отложенных запросах модели не учились: они годятся для проверки, а не для обучения.
run-prompts-train = Предназначенные для обучения
run-prompts-held-out = Отложенные
run-prompts-all = Все

config-group-main = Настройки
config-group-course = Длительность и измерения
config-group-optimiser = Оптимизатор
config-group-ppo = Параметры PPO
config-group-machine = Машина, зерно и контрольные точки

config-learning-rate = Скорость обучения
config-learning-rate-help = Наибольшее значение. Малым моделям нужна больше: 1e-3 для игрушечной, 2e-5 для миллиарда параметров.
config-learning-rate-reward-help = Наибольшее значение. Малым моделям нужна больше: 1e-3 для игрушечной, 1e-5 для миллиарда параметров.
config-learning-rate-policy-help = Наибольшее значение. Намного меньше, чем при дообучении: 1e-6 для миллиарда параметров, 3e-4 для игрушечной.
config-epochs = Эпохи
config-epochs-help = Сколько раз пройти по данным.
config-batch-size = Размер пакета
config-batch-size-help = Сколько примеров модель обрабатывает сразу. Чем меньше, тем меньше нужно памяти.
config-batch-size-pairs = Размер пакета, в парах
config-batch-size-prompts = Размер пакета, в запросах
config-batch-size-prompts-help = На сколько запросов отвечать сразу; вместе с накоплением это один пакет пробных ответов.
config-batch-size-decoded = Ответов одновременно
config-batch-size-decoded-help = Чем больше, тем быстрее и тем больше нужно памяти.
config-max-length = Наибольшая длина, в токенах
config-max-length-help = Более длинные обрезаются с конца.
config-max-length-pairs-help = Ответ вместе с запросом; пары с более длинным ответом отбрасываются.
config-max-length-prompts-help = Более длинные запросы отбрасываются.
config-max-length-sample-help = Столько токенов в запросе самое большее.
config-skip-long-prompts = Пропускать более длинные запросы
config-skip-long-prompts-help = Иначе один слишком длинный запрос завершит запуск ошибкой. Сколько пропущено, скажет журнал.
config-max-steps = Не больше шагов
config-max-steps-help = Шаги оптимизатора; 0 — по числу эпох.
config-max-steps-ppo-help = Пакеты пробных ответов; 0 — по числу эпизодов или эпох.
config-eval-every = Измерять каждые столько шагов
config-eval-every-sft-help = Потери на отложенных запросах; 0 — только до первого шага и после последнего.
config-eval-every-reward-help = Точность на отложенных запросах; 0 — только до первого шага и после последнего.
config-center-rewards-coefficient = Центрирование оценок
config-center-rewards-coefficient-help = Вес слагаемого (лучший + худший)², которое держит оценки около нуля; 0 — без него.
config-grad-accum = Накопление градиента
config-grad-accum-help = Пакетов на шаг оптимизатора: как больший пакет, но без лишней памяти.
config-warmup-steps = Шаги разогрева
config-warmup-steps-help = За сколько шагов скорость обучения растёт от нуля.
config-lr-scheduler = Ход скорости обучения
config-lr-scheduler-help = После разогрева.
config-weight-decay = Затухание весов
config-weight-decay-help = Раздельное, как в AdamW; на нормы и смещения не действует.
config-max-grad-norm = Обрезка градиента
config-max-grad-norm-help = Наибольшая норма градиента; 0 — не обрезать.
config-shuffle = Перемешивать
config-shuffle-help = Новый порядок в каждой эпохе; иначе — порядок файла.
config-seed = Зерно случайности
config-seed-help = То же зерно на тех же данных даёт тот же запуск.
config-seed-sample-help = То же зерно даёт те же ответы.
config-dtype = Точность чисел
config-dtype-help = При прямом и обратном проходе; веса и оптимизатор остаются в f32.
config-device = Где вычислять
config-device-help = На машине исполнителя.
config-save-every = Контрольная точка каждые столько шагов
config-save-every-help = И если пять минут ни одной не было. Прерванный запуск продолжится с последней; 0 — не сохранять.
config-temperature = Температура
config-temperature-help = Для пробных ответов: ниже — увереннее, выше — разнообразнее.
config-temperature-sample-help = 0 — самый вероятный токен; 1 — собственное распределение модели.
config-episodes = Эпизоды
config-episodes-help = Сколько ответов попробовать за весь запуск; 0 — по числу эпох.
config-response-length = Самый длинный ответ, в токенах
config-response-length-help = Чем длиннее, тем дольше.
config-beta = Удержание у исходной модели, β
config-beta-help = Чем больше, тем меньше модель отходит от той, с которой начала.
config-kl-coef = Вес KL, β
config-kl-coef-help = Насколько сильно удерживать модель у исходной. Увеличьте, если ответы становятся странными.
config-missing-eos-penalty = Штраф за незаконченный ответ
config-missing-eos-penalty-help = Вычитается из оценки обрезанного ответа; 0 — ничего не вычитать.
config-ppo-epochs = Эпохи PPO
config-ppo-epochs-help = Сколько раз пройти по каждому пакету пробных ответов.
config-minibatches = Мини-пакеты
config-minibatches-help = На проход; каждый — шаг оптимизатора.
config-kl-estimator = Оценка KL
config-kl-estimator-help = Как оценивать штраф на каждом токене.
config-cliprange = Обрезка ε
config-cliprange-help = Насколько отношение вероятностей может сдвинуть потери.
config-cliprange-value = Обрезка ценности
config-cliprange-value-help = Насколько ценность может отойти от прежней.
config-vf-coef = Вес потерь ценности
config-vf-coef-help = Наряду с потерями самой модели.
config-gamma = Дисконт γ
config-gamma-help = На токен, от 0 до 1.
config-lam = Параметр λ в GAE
config-lam-help = От 0 до 1: чем меньше, тем меньше разброс и больше смещение.
config-whiten-rewards = Нормировать награды
config-whiten-rewards-help = Приводит их к единичной дисперсии перед расчётом преимуществ, сохраняя среднее.
config-n = Ответов на запрос
config-n-help = Из двух получится одно сравнение, из четырёх — два. Одинаковые ответы не сравниваются.
config-max-new-tokens = Самый длинный ответ, в токенах
config-max-new-tokens-help = Обрезанный ответ будет отмечен.
config-top-p = Порог top p
config-top-p-help = Выбирать из самых вероятных токенов с такой общей вероятностью; 1 — из всех.

choice-yes = Да
choice-no = Нет
choice-linear = Линейно до нуля
choice-cosine = По косинусу до нуля
choice-constant = Постоянная
choice-dtype-auto = bf16, где он быстр, иначе f32
choice-bf16 = bf16 (16 бит)
choice-f32 = f32 (32 бита)
choice-device-auto = GPU, если есть, иначе процессор
choice-cpu = Процессор
choice-cuda = Видеокарта (CUDA)
choice-k1 = k1: несмещённая
choice-k3 = k3: несмещённая, не бывает отрицательной

problem-whole-number = Введите целое число, 0 или больше.
problem-number = Введите число, например 0,5 или 2e-5.
problem-too-large = Слишком много: не больше миллиарда.
problem-choice = Выберите одно из предложенных значений.
problem-at-least-one = Должно быть не меньше 1.
problem-at-least-two = Должно быть не меньше 2.
problem-above-zero = Должно быть больше 0.
problem-epochs = Должно быть больше 0, либо задайте наибольшее число шагов.
problem-not-negative = Должно быть 0 или больше.
problem-zero-to-one = Должно быть от 0 до 1.
problem-above-zero-to-one = Должно быть больше 0 и не больше 1.
problem-minibatches = Не больше, чем запросов в пакете пробных ответов (размер пакета × накопление).
problem-choose-model = Выберите модель, с которой начать.
problem-choose-reward-model = Выберите модель награды; если её нет, сначала обучите.
problem-choose-dataset = Выберите данные этого проекта или зафиксируйте их сейчас.
problem-no-demonstrations = Никто ещё не написал ответа. Напишите несколько в разделе «Писать» или импортируйте примеры и запустите снова.
problem-no-preferences = Ещё нет сравнения, в котором один ответ лучше другого. Сгенерируйте ответы, сравните несколько в разделе «Сравнивать» и запустите снова.
problem-no-prompts = В проекте нет подходящих запросов. Добавьте их в разделе «Запросы» и запустите снова.
problem-only-held-out = Всё, что есть, относится к отложенным запросам. Поработайте ещё с несколькими запросами и запустите снова.
