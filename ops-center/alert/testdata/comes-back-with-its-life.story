# The condition comes back before anyone saw it go: what was said and who was
# sent stays with the alarm.
device a noise
rules
  - id: loud
    when: {threshold: {quantity: noise, above: 80}}
end
00:00 a noise=85
> loud a unacknowledged
00:10 assign loud a by Lan to Drainage
> loud a unacknowledged
00:11 comment loud a by Lan
> loud a unacknowledged
01:30 a noise=50
> loud a returned
03:00 a noise=90
> loud a unacknowledged
= loud a unacknowledged for Drainage said 1
