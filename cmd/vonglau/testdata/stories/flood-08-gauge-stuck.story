# Thước đo đứng yên sáu giờ là thước hỏng, không phải sông lặng.
# A gauge that says the same for six hours is broken.
wards
rules urban-flood
device song river-level
subscribe xaydung "Sở Xây dựng" rule flood-gauge-stuck
00:00..06:30 every 2m song water_level=2.17
-> xaydung raised flood-gauge-stuck song
= flood-gauge-stuck song unacknowledged
06:32 song water_level=2.25
-> xaydung cleared flood-gauge-stuck song
= flood-gauge-stuck song returned
