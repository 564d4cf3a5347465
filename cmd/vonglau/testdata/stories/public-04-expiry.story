# Hết hạn thì tự hết hiệu lực, không ai phải làm gì.
# A message ends by its time.
wards
rules urban-flood
device wl-1 flooded-road at 106.12,20.43
subscribe dai "Đài truyền thanh" event warning.issued,warning.cancelled
07:00..07:04 every 1m wl-1 water_depth=0.31
07:05 draft W from flood-road-deep wl-1 by Bình
07:06 submit W by Bình
07:07 approve W by An
-> dai warning.issued
12:00
= warning W in_force
14:00
= warning W expired
