# Kết thúc diễn tập: thiết bị diễn tập nghỉ, báo động diễn tập đóng.
# At its end the devices are retired and nothing stays open.
wards
rules urban-flood
device wl-1 flooded-road at 106.12,20.43
subscribe xaydung "Sở Xây dựng" priority 1,2
06:00 drill start DT like wl-1 until 12:00 by An
07:00..07:04 every 1m DT-wl-1 water_depth=0.90
07:30 drill end DT by An
07:31 DT-wl-1 water_depth=0.90
! 401
07:40 wait
= none
