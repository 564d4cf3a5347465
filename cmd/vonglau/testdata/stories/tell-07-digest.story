# Bản tổng hợp mỗi giờ.
# An hour's events together.
wards
rules urban-flood
device wl-1 flooded-road at 106.12,20.43
subscribe tonghop "Văn phòng" digest hour priority 2
07:00..07:04 every 1m wl-1 water_depth=0.31
07:05 acknowledge flood-road-deep wl-1 by Bình saying "Đã xem"
07:06..07:20 every 1m wl-1 water_depth=0.02
07:59
08:00
-> tonghop digest: raised flood-road-deep wl-1, acknowledged flood-road-deep wl-1, cleared flood-road-deep wl-1
08:05
