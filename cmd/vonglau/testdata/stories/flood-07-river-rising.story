# Nước sông lên nhanh: hơn 30 cm mỗi giờ, ban chỉ huy được báo trước khi tới mức.
# The river rises by more than 30 cm an hour: notice before a level is reached.
wards
rules urban-flood
device song river-level
subscribe chihuy "Ban chỉ huy phòng thủ dân sự" rule flood-river-rising
06:00..07:30 every 1m song water_level=1.00..1.90
-> chihuy raised flood-river-rising song
= flood-river-rising song unacknowledged
