# Cập nhật rồi hủy; mỗi tin nhắc đến tin trước.
# Updated, then cancelled.
wards
rules urban-flood
device wl-1 flooded-road at 106.12,20.43
subscribe dai "Đài truyền thanh" event warning.issued,warning.updated,warning.cancelled
07:00..07:04 every 1m wl-1 water_depth=0.31
07:05 draft W from flood-road-deep wl-1 by Bình
07:06 submit W by Bình
07:07 approve W by An
-> dai warning.issued
08:00 update W by Bình
08:01 submit W by Bình
08:02 approve W by An
-> dai warning.updated
09:00 cancel W by Bình
09:01 submit W by Bình
09:02 approve W by An
-> dai warning.cancelled
= warning W cancelled
= feed 3
