# Trưởng ca cũng không duyệt tin do chính mình soạn.
# A shift leader does not approve a draft of their own either.
wards
rules urban-flood
device wl-1 flooded-road at 106.12,20.43
subscribe dai "Đài truyền thanh" event warning.issued
07:00..07:04 every 1m wl-1 water_depth=0.31
07:05 draft W from flood-road-deep wl-1 by An
07:06 submit W by An
07:07 approve W by An
! 403
= warning W waiting
= feed 0
