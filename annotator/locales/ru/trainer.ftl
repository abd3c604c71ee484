# Что сообщают запуски, исполнители и программа trainer. Английский текст есть и в их исходниках.

technical-detail = «{ $text }»
what-because-why = { $what }: { $why }

system-not-found = нет такого файла или каталога
system-no-permission = нет прав доступа
system-no-directory = это не каталог
system-disk-full = на диске нет места

artifact-missing = { $what }: по адресу { $folder } ничего нет. У исполнителя и веб-приложения должна быть одна и та же папка артефактов (ATTUNE_ARTIFACTS)
artifact-changed = { $what }: файлы в { $folder } изменились на диске после того, как были сохранены, и их хеш больше не совпадает. Восстановите папку из резервной копии или создайте её заново
artifact-unreadable = { $what }: не удалось прочитать { $folder }: { $why }

trainer-missing = по адресу { $path } нет программы trainer: соберите её (`cargo build -p trainer`), укажите её через --trainer или задайте --worker none и запустите `trainer worker` в другом месте
at-path = { $path }: { $why }
live-no-word = процесс модели завершился, ничего не сообщив; возможно, не хватило памяти

cannot-read = не удалось прочитать { $path }
