# Two never hold the same: the second is told who does. The holder may renew, and
# who leads the shift may act in spite of it. It ends by itself.
device a noise
rules
  - id: loud
    when: {threshold: {quantity: noise, above: 80}}
end
00:00 a noise=85
> loud a unacknowledged
00:10 claim loud a by Lan
> loud a unacknowledged
= loud a unacknowledged claimed-by Lan
00:20 claim loud a by Minh
> conflict Lan
00:21 ack loud a by Minh
> conflict Lan
00:22 shelve loud a by Minh for 5m
> conflict Lan
00:23 assign loud a by Minh to Drainage
> conflict Lan
00:24 comment loud a by Minh
> loud a unacknowledged
01:30 claim loud a by Lan
> loud a unacknowledged
02:11 tick
= loud a unacknowledged claimed-by Lan said 1
03:30 tick
> loud a unacknowledged
= loud a unacknowledged said 1
03:31 claim loud a by Minh
> loud a unacknowledged
03:32 ack loud a by Hoa as shift_leader
> loud a acknowledged
