models-title = Модели
models-none = Моделей пока нет. Добавьте исходную модель и дообучите её.
model-name = Название
model-kind = Вид
model-kind-base = исходная
model-kind-sft = дообученная
model-kind-reward = модель награды
model-kind-policy = улучшенная
model-parameters = Параметров
model-parent = Получена из
model-no-parent = Ни из чего: она исходная
model-run = Запуск
model-dataset = Данные
model-made = Добавлена
model-download = Скачать ({ $size })
model-readers = Запуски, которые её читали
model-children = Что получено из неё
model-files = Файлы
model-files-help = Папка в формате Hugging Face: transformers, vLLM и конвертер llama.cpp загружают её без изменений.
model-files-reward-help = Папка в формате Hugging Face: transformers загружает её без изменений как модель классификации последовательностей с одной меткой — оценкой.

facts-on-disk = { $size } на диске
facts-context = Контекст
facts-tokens = { $n ->
    [one] { $n } токен
    [few] { $n } токена
   *[many] { $n } токенов
}
facts-chat-template = Шаблон чата
facts-chat-template-there = Есть
facts-chat-template-missing = Нет: модель читает простой текст, запрос и ответ идут подряд. Для чата и для данных в виде сообщений нужна модель с шаблоном.
facts-languages = Языки
facts-languages-unknown = Неизвестны: нет карточки модели, где они указаны
facts-memory = Память, примерно
facts-memory-train = { $weights } ГБ на веса, градиенты и оптимизатор. К ним добавится пакет: всего { $total } ГБ, если в нём { $n ->
    [one] { $n } последовательность
    [few] { $n } последовательности
   *[many] { $n } последовательностей
} по { $length } { $length ->
    [one] токену
   *[other] токенов
}. Короткие тексты займут меньше.
facts-memory-sample = { $total } ГБ, если за раз пишется { $n ->
    [one] { $n } последовательность
    [few] { $n } последовательности
   *[many] { $n } последовательностей
} по { $length } { $length ->
    [one] токену
   *[other] токенов
}; из них { $weights } ГБ занимает модель.

base-add = Добавить исходную модель
base-add-lead = Исходная модель — это предобученная модель, с которой начинается обучение. Исполнитель загрузит её один раз, и ею смогут пользоваться все проекты.
base-folder-help = Администратор может указать и папку на машине исполнителя: путь от корня, с / в начале.
base-fit = Обучать здесь можно Llama 2 и 3, Qwen2, Qwen2.5 и Qwen3; от остальных моделей исполнитель откажется до загрузки весов. Для моделей с ограниченным доступом там, где работает исполнитель, нужна переменная HF_TOKEN.
base-fetch = Загрузить
config-source = Модель
config-source-help = Как она называется на Hugging Face: ОРГАНИЗАЦИЯ/ИМЯ, например Qwen/Qwen3-0.6B.
config-revision = Ревизия
config-revision-help = Ветка, тег или коммит, если нужно не самое новое состояние.
problem-base-empty = Укажите модель: ОРГАНИЗАЦИЯ/ИМЯ, например Qwen/Qwen3-0.6B.
problem-base-source = Таких названий на Hugging Face не бывает. Название состоит из двух частей: ОРГАНИЗАЦИЯ/ИМЯ, например Qwen/Qwen3-0.6B.
problem-base-source-or-folder = Это не название с Hugging Face, такое как Qwen/Qwen3-0.6B, и не путь к папке, который начинается с /.
problem-base-folder-refused = Папку на машине исполнителя может указать только администратор. Введите название с Hugging Face, ОРГАНИЗАЦИЯ/ИМЯ, или обратитесь к администратору.
problem-base-revision = Введите ветку, тег или коммит, без пробелов.
problem-base-revision-of-folder = У папки нет ревизий: оставьте поле пустым.
