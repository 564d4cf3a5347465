# Tin cảnh báo người dân: người soạn không tự duyệt; duyệt xong thì ra công chúng và
# đến nơi đăng ký.
# Who drafted a message cannot approve it; approved, it is public and subscribers have it.
wards
rules urban-flood
device wl-1 flooded-road at 106.12,20.43
subscribe dai "Đài truyền thanh" event warning.issued,warning.updated,warning.cancelled
subscribe quocgia "Cổng cảnh báo" event warning.issued,warning.cancelled as cap
07:00..07:04 every 1m wl-1 water_depth=0.31
07:05 draft W from flood-road-deep wl-1 by Bình
07:06 submit W by Bình
= warning W waiting
= feed 0
07:07 approve W by Bình
! 403
07:08 approve W by An
-> dai warning.issued
-> quocgia cap actual alert
= warning W in_force
= feed 1
