# The log knows more than what was saved: the readings are judged again, and
# what they did is not done twice.
device a noise
rules
  - id: loud
    when: {threshold: {quantity: noise, above: 80}}
end
00:00 a noise=50
00:05 a noise=85
> loud a unacknowledged
00:06 ack loud a by Lan
> loud a acknowledged
00:07 a noise=50
> loud a normal
00:08 a noise=90
> loud a unacknowledged 90
crash
= loud a unacknowledged chattering
00:09 a noise=50
> loud a returned
crash
= loud a returned chattering
