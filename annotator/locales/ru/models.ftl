models-title = Модели
models-none = Моделей пока нет. Запустите сервис с параметром --base ПАПКА, чтобы добавить исходную модель, и дообучите её.
model-name = Название
model-kind = Вид
model-kind-base = исходная
model-kind-sft = дообученная
model-kind-reward = модель награды
model-kind-policy = улучшенная
model-parameters = Параметров
model-parent = Получена из
model-no-parent = Ни из чего: её передали сервису
model-run = Запуск
model-dataset = Данные
model-made = Добавлена
model-download = Скачать ({ $size })
model-readers = Запуски, которые её читали
model-children = Что получено из неё
model-files = Файлы
model-files-help = Папка в формате Hugging Face: transformers, vLLM и конвертер llama.cpp загружают её без изменений.

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
facts-memory-sample = { $total } ГБ, если одновременно пишутся { $n ->
    [one] { $n } последовательность
    [few] { $n } последовательности
   *[many] { $n } последовательностей
} по { $length } токенов; из них { $weights } ГБ занимает модель.
