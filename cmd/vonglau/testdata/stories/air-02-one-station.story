# Một trạm thì chưa nói thay cả phường.
# One station does not speak for a ward.
wards
rules air-quality
device kk-1 air-quality
subscribe yte "Sở Y tế" category Health
06:00..08:00 every 5m kk-1 pm25=140
= none
