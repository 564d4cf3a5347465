# A night over midnight belongs to the day it begins on, and so to Tuesday here.
device a noise
rules
  - id: tuesday-night
    schedule: {days: [tue], hours: ["22:00-00:30"]}
    when: {threshold: {quantity: noise, above: 80}}
  - id: wednesday-night
    schedule: {days: [wed], hours: ["22:00-00:30"]}
    when: {threshold: {quantity: noise, above: 80}}
end
00:00 a noise=90
> tuesday-night a unacknowledged
31:00 a noise=90
> tuesday-night a returned
22:10:00 a noise=90
> wednesday-night a unacknowledged
