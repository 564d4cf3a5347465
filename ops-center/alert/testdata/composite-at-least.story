# Three silent devices of a ward are one thing to look at.
device a noise
device b noise
device c noise
rules
  - id: loud
    when: {threshold: {quantity: noise, above: 80}}
  - id: street
    when: {composite: {at_least: 3, of: [loud], layer: wards}}
end
00:00 a noise=90 in wards/w-1
> loud a unacknowledged
00:01 b noise=90 in wards/w-1
> loud b unacknowledged
00:02 c noise=90 in wards/w-1
> loud c unacknowledged
> street zone:wards/w-1 unacknowledged
00:30 b noise=50 in wards/w-1
> loud b returned
> street zone:wards/w-1 returned
