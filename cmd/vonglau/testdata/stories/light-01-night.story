# Đèn tắt ban đêm hai mươi phút thì vào lượt sửa kế tiếp.
# A lamp that is off in lighting hours.
wards
rules power-lighting
device den street-light
subscribe chieusang "Đơn vị chiếu sáng công cộng"
19:00..19:25 every 1m den lamp=0
-> chieusang raised light-off-at-night den
= light-off-at-night den unacknowledged
