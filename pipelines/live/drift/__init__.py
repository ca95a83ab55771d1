"""Watch what the champion sees and says: is it still the world it was trained in?"""
