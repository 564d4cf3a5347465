# Mưa to trên lưu vực: trung bình hai điểm đo trong mười lăm phút.
# Heavy rain on a basin is a mean of its gauges, not one of them.
wards
rules urban-flood
device mua-1 weather at 106.12,20.43
device mua-2 weather at 106.14,20.43
subscribe thoatnuoc "Sở Xây dựng" rule flood-rain-basin
05:00..05:10 every 1m mua-1 rain_rate=90 & mua-2 rain_rate=2
= none
05:11..05:30 every 1m mua-1 rain_rate=120 & mua-2 rain_rate=90
-> thoatnuoc raised flood-rain-basin zone:flood_basins/W-1
= flood-rain-basin zone:flood_basins/W-1 unacknowledged
