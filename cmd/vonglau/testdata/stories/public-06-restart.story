# Khởi động lại giữa soạn và duyệt.
# A restart between draft and approval.
wards
rules urban-flood
device wl-1 flooded-road at 106.12,20.43
subscribe dai "Đài truyền thanh" event warning.issued
07:00..07:04 every 1m wl-1 water_depth=0.31
07:05 draft W from flood-road-deep wl-1 by Bình
07:06 submit W by Bình
07:07 restart
07:08 approve W by An
-> dai warning.issued
07:09 restart
= warning W in_force
= feed 1
