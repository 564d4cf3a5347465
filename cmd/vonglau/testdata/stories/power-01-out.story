# Trạm biến áp mất điện: điện lực biết trong nửa phút, hết khi có điện hai phút.
# A transformer without voltage.
wards
rules power-lighting
device mba transformer
subscribe dienluc "Điện lực"
18:00..18:02 every 10s mba voltage=231
18:02:10..18:03 every 10s mba voltage=0
-> dienluc raised power-out mba
= power-out mba unacknowledged
18:04 acknowledge power-out mba by Bình saying "Đã báo điều độ"
-> dienluc acknowledged power-out mba
18:05..18:08 every 10s mba voltage=229
-> dienluc cleared power-out mba
= none
