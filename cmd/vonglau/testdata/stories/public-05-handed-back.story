# Trưởng ca trả lại bản soạn; sửa xong trình lại.
# Handed back, and submitted again.
wards
rules urban-flood
device wl-1 flooded-road at 106.12,20.43
subscribe dai "Đài truyền thanh" event warning.issued
07:00..07:04 every 1m wl-1 water_depth=0.31
07:05 draft W from flood-road-deep wl-1 by Bình
07:06 submit W by Bình
07:07 hand-back W by An
= warning W draft
07:09 approve W by An
! 409
07:10 submit W by Bình
07:11 approve W by An
-> dai warning.issued
= warning W in_force
