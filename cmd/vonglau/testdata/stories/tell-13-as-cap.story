# Nơi nhận theo chuẩn CAP: báo động, cập nhật, hủy.
# A receiver of CAP.
wards
rules urban-flood
device wl-1 flooded-road at 106.12,20.43
subscribe quocgia "Cổng cảnh báo" priority 2 as cap
07:00..07:04 every 1m wl-1 water_depth=0.31
-> quocgia cap actual alert
07:05 acknowledge flood-road-deep wl-1 by Bình saying "Đã xem"
-> quocgia cap actual update
07:06..07:20 every 1m wl-1 water_depth=0.02
-> quocgia cap actual cancel
