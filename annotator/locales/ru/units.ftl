# How numbers are written: times, counts, bytes.
duration-hours = { $hours } ч { $minutes } мин
duration-minutes = { $minutes } мин { $seconds } с
duration-seconds = { $seconds } с
count-ones = { $n }
count-thousands = { $n } тыс.
count-millions = { $n } млн
count-billions = { $n } млрд
count-trillions = { $n } трлн
unit-b = { $n } Б
unit-kib = { $n } КиБ
unit-mib = { $n } МиБ
unit-gib = { $n } ГиБ
unit-tib = { $n } ТиБ
unit-kb = { $n } кБ
unit-mb = { $n } МБ
unit-gb = { $n } ГБ
unit-tb = { $n } ТБ
