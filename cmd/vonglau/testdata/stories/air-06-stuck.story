# Bụi không bao giờ đứng yên ba giờ: cảm biến kẹt.
# Dust is never the same for three hours.
wards
rules air-quality
device kk-1 air-quality
subscribe moitruong "Sở Nông nghiệp và Môi trường" rule air-stuck
01:00..04:15 every 1m kk-1 pm25=33.3
-> moitruong raised air-stuck kk-1
= air-stuck kk-1 unacknowledged
