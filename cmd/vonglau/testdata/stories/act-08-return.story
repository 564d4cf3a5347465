# Cán bộ trả lại việc thì phải nói vì sao.
# What is returned comes with a reason.
wards
rules urban-flood
device wl-1 flooded-road of "Sở Xây dựng"
07:00..07:04 every 1m wl-1 water_depth=0.31
07:05 assign flood-road-deep wl-1 to "Sở Xây dựng" by An saying "Đưa bơm tới"
07:06 return flood-road-deep wl-1 by Dũng
! 422
07:07 return flood-road-deep wl-1 by Dũng because "Đường của tỉnh, không phải của Sở"
= flood-road-deep wl-1 unacknowledged for Sở Xây dựng returned, flood-road-wet wl-1 suppressed
