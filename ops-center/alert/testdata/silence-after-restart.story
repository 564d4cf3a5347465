# The server was away for an hour. Nobody was silent in that time as far as it
# knows, and an alarm that was raised before stays until a report comes.
device a noise
device b noise
rules
  - id: silent
    when: {silence: {after: 5m}}
end
00:00 a noise=50
04:00 b noise=50
05:00 tick
> silent a unacknowledged
06:00 restart
01:06:00 restart
01:06:01 tick
= silent a unacknowledged
01:10:00 tick
01:11:00 tick
> silent b unacknowledged
01:11:10 a noise=50
> silent a returned
