# Tin cảnh báo diễn tập mang chữ DIỄN TẬP, không vào bảng tin công chúng.
# A message of a drill is in a feed of its own.
wards
rules urban-flood
device wl-1 flooded-road at 106.12,20.43
subscribe dai "Đài truyền thanh" event warning.issued
subscribe luyentap "Ban diễn tập" event warning.issued with-drills
subscribe quocgia "Cổng cảnh báo" event warning.issued as cap
subscribe thu "Cổng thử" event warning.issued as cap with-drills
06:00 drill start DT like wl-1 until 12:00 by An
07:00..07:04 every 1m DT-wl-1 water_depth=0.90
07:05 draft W from flood-road-deep DT-wl-1 by Bình
07:06 submit W by Bình
07:07 approve W by An
-> luyentap DIỄN TẬP warning.issued
-> thu cap exercise alert
= feed 0
= exercise-feed 1
