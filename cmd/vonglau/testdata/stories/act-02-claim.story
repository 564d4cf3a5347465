# Bình nhận xử lý thì Chi không chen vào; hai phút không làm gì thì báo động lại tự do.
# What Bình works on is his for two minutes; the shift leader may step in.
wards
rules power-lighting
device mba transformer
12:00..12:03 every 30s mba oil_temperature=97
12:04 claim power-hot mba by Bình
12:04:10 acknowledge power-hot mba by Chi saying "Để tôi"
! 409
= power-hot mba unacknowledged claimed-by Bình
12:07
= power-hot mba unacknowledged
12:07:10 acknowledge power-hot mba by Chi saying "Để tôi"
= power-hot mba acknowledged
