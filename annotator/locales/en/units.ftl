# How numbers are written: times, counts, bytes.
duration-hours = { $hours } h { $minutes } min
duration-minutes = { $minutes } min { $seconds } s
duration-seconds = { $seconds } s
count-ones = { $n }
count-thousands = { $n } K
count-millions = { $n } M
count-billions = { $n } B
count-trillions = { $n } T
unit-b = { $n } B
unit-kib = { $n } KiB
unit-mib = { $n } MiB
unit-gib = { $n } GiB
unit-tib = { $n } TiB
unit-kb = { $n } kB
unit-mb = { $n } MB
unit-gb = { $n } GB
unit-tb = { $n } TB
