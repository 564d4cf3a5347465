# Hai trực ban cùng bấm xác nhận: người thứ hai được biết ai đã bấm trước.
# Two operators acknowledge: the second is told who was first.
wards
rules power-lighting
device mba transformer
12:00..12:03 every 30s mba oil_temperature=97
12:04 acknowledge power-hot mba by Bình saying "Đã gọi đội"
12:04:05 acknowledge power-hot mba by Chi saying "Đã gọi đội"
! 409
= power-hot mba acknowledged
