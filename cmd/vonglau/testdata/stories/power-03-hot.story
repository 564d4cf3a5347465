# Dầu quá 95 °C hai phút: san tải ngay.
# Oil over 95 °C for two minutes.
wards
rules power-lighting
device mba transformer
subscribe dienluc "Điện lực" rule power-hot
12:00..12:02 every 30s mba oil_temperature=90
12:02:30..12:05 every 30s mba oil_temperature=97
-> dienluc raised power-hot mba
= power-hot mba unacknowledged
