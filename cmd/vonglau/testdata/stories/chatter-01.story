# Báo động chập chờn được đánh dấu để sửa, không phải để gọi mãi.
# What comes and goes is marked as chattering.
rules
  - id: chap-chon
    when: {threshold: {quantity: noise, above: 80}}
end
wards
device on noise
07:00:00 on noise=85
07:00:10 on noise=70
07:00:20 on noise=85
07:00:30 on noise=70
07:00:40 on noise=85
07:00:50 on noise=70
07:01:00 on noise=85
= chap-chon on unacknowledged chattering
