# Bỏ bản soạn: không có gì ra công chúng.
# A draft that is dropped was never sent.
wards
rules urban-flood
device wl-1 flooded-road at 106.12,20.43
subscribe dai "Đài truyền thanh" event warning.issued
07:00..07:04 every 1m wl-1 water_depth=0.31
07:05 draft W from flood-road-deep wl-1 by Bình
07:06 discard W by Bình
= warning W discarded
= feed 0
