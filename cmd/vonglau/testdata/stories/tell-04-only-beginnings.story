# Chỉ muốn biết khi bắt đầu.
# Only when something begins.
wards
rules urban-flood
device wl-1 flooded-road
subscribe baochi "Phòng Văn hóa" event alarm.raised priority 2
07:00..07:04 every 1m wl-1 water_depth=0.31
-> baochi raised flood-road-deep wl-1
07:05 acknowledge flood-road-deep wl-1 by Bình saying "Đã xem"
07:06..07:20 every 1m wl-1 water_depth=0.02
= none
